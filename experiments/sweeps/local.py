"""Runs as processes of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from experiments.sweeps.executor import Executor, Job

GRACE = 10.0  # seconds between two signals to a process that does not end


@final
class LocalJob(Job):
    """A process.

    Args:
        process: That was started.
        log: Its standard error.
        begin: Where in the log it begins.
    """

    def __init__(self, process: subprocess.Popen[bytes], *, log: Path, begin: int) -> None:
        self._process, self._log, self._begin = process, log, begin

    def poll(self) -> int | None:
        """The exit code, or None while it goes on."""
        return self._process.poll()

    def stop(self) -> None:
        """Interrupt it as Ctrl-C does, so that it closes its loggers; harder if need be."""
        for chosen in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            self._process.send_signal(chosen)
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue

    def leave(self) -> None:
        """End it: the same sweep goes on from its checkpoint."""
        self.stop()

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return self._log.read_bytes()[self._begin :].decode(errors="replace")


@final
@dataclass(frozen=True)
class LocalExecutor(Executor):
    """Starts processes.

    Args:
        threads: That each may use.
        lock: A descriptor they keep open, which says that the sweep is at work.
    """

    threads: int
    lock: int

    def start(self, arguments: Sequence[str], *, log: Path) -> Job:
        """Start a run."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            begin = errors.tell()
            process = subprocess.Popen(
                [sys.executable, "-m", "experiments.run", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={"OMP_NUM_THREADS": str(self.threads), **os.environ},
                pass_fds=[self.lock],
                # Ctrl-C is for the sweep, which interrupts its runs itself, once.
                start_new_session=True,
            )
        return LocalJob(process, log=log, begin=begin)
