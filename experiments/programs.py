"""Modules of ours as processes that share this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import final

GRACE = 10.0  # seconds between two signals to a process that does not end
LINES = 5  # of what a process said before it failed
# What the libraries below torch read when they are loaded, and never again.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
# How many processes share the machine, for the provenance of what they compute.
JOBS = "PAVI_JOBS"


@final
class Program:
    """A module of ours that runs as a process.

    It has a session of its own: Ctrl-C is for the process that started it, which interrupts its
    programs itself, once.

    Args:
        module: Its name.
        arguments: Of its command line.
        jobs: How many programs share the machine; each has its part of the threads.
        log: Where its standard error is added. What it prints otherwise is dropped.
        keep: File descriptors that stay open in it.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        jobs: int,
        log: Path,
        keep: Sequence[int] = (),
    ) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = log
        with log.open("ab") as errors:
            self._begin = errors.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env={**os.environ, **shared_environment(jobs)},
                pass_fds=keep,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """The exit code, or None while it goes on."""
        return self._process.poll()

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        return self._process.wait()

    def stop(self) -> None:
        """See `stop`."""
        stop([self])

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return self._log.read_bytes()[self._begin :].decode(errors="replace")

    def _signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(max(seconds, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop(programs: Iterable[Program]) -> None:
    """Interrupt programs as Ctrl-C does, so that they leave checkpoints; harder if need be.

    All are told before any is waited for.
    """
    left = list(programs)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        left = [program for program in left if program.poll() is None]
        for program in left:
            program._signal(number)
        until = time.monotonic() + GRACE
        for program in left:
            program._ends_within(until - time.monotonic())


def last_words(said: str) -> str:
    """The last lines of what a program wrote to its standard error."""
    lines = [line for line in said.splitlines() if line.strip()]
    return "\n".join(lines[-LINES:]) or "it said nothing"


def shared_environment(jobs: int) -> dict[str, str]:
    """The environment of each of `jobs` programs: its part of the cores, or fewer if asked for."""
    part = max(1, (os.cpu_count() or 1) // jobs)
    asked = {name: os.environ.get(name, "") for name in THREADS}
    threads = {
        name: str(min(part, int(value)) if value.isdigit() and int(value) else part)
        for name, value in asked.items()
    }
    return {**threads, JOBS: str(jobs)}


def jobs_beside() -> int:
    """How many programs share the machine, this one included, as far as it was told."""
    return int(os.environ.get(JOBS, "1"))
