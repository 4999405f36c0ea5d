"""Where the runs of a sweep are computed: the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path


class Job(ABC):
    """One run that was started."""

    @abstractmethod
    def poll(self) -> int | None:
        """The exit code, or None while it goes on."""

    @abstractmethod
    def stop(self) -> None:
        """End it, in good order if it lets itself be, and wait for that."""

    @abstractmethod
    def leave(self) -> None:
        """The sweep is interrupted: end what would have no parent, leave what is in a queue."""

    @abstractmethod
    def errors(self) -> str:
        """What it wrote to its standard error."""


class Executor(ABC):
    """Starts runs."""

    @abstractmethod
    def start(self, arguments: Sequence[str], *, log: Path) -> Job:
        """Start `experiments.run` with these arguments, or find the one that is under way.

        Args:
            arguments: The config and its overrides.
            log: A file for the standard error; its name without the ending is that of the run.
        """
