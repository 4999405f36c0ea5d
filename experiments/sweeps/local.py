"""Runs as processes of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from experiments.programs import Program
from experiments.sweeps.executor import Executor, Job


@final
@dataclass(frozen=True)
class LocalJob(Job):
    """A run as a process.

    Args:
        program: That was started.
    """

    program: Program

    def poll(self) -> int | None:
        """The exit code, or None while it goes on."""
        return self.program.poll()

    def stop(self) -> None:
        """Interrupt it as Ctrl-C does, so that it closes its loggers; harder if need be."""
        self.program.stop()

    def leave(self) -> None:
        """End it: the same sweep goes on from its checkpoint."""
        self.stop()

    def errors(self) -> str:
        """What it wrote to its standard error."""
        return self.program.errors()


@final
@dataclass(frozen=True)
class LocalExecutor(Executor):
    """Starts processes.

    Args:
        jobs: How many share the machine.
        lock: A descriptor they keep open, which says that the sweep is at work.
    """

    jobs: int
    lock: int

    def start(self, arguments: Sequence[str], *, log: Path) -> Job:
        """Start a run."""
        program = Program("experiments.run", arguments, jobs=self.jobs, log=log, keep=[self.lock])
        return LocalJob(program)
