"""Something that happens to a process in the midst of a certain call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

# Given the function and its arguments; the call itself follows.
Happens = Callable[..., None]


@final
@dataclass(frozen=True)
class Ambush:
    """Lies in wait at a function.

    Args:
        place: The module or class that it is an attribute of.
        name: Its name there.
        call: In which call, counted from one.
        happens: What happens then.
        rank: In which process of several; in each of them by default.
    """

    place: Any
    name: str
    call: int
    happens: Happens
    rank: int | None = None

    def __call__(self, rank: int) -> None:
        """Lie down, in this process of that rank."""
        if self.rank not in (None, rank):
            return
        function: Callable[..., Any] = getattr(self.place, self.name)
        calls = 0

        def watched(*given: Any, **named: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == self.call:
                self.happens(function, *given, **named)
            return function(*given, **named)

        setattr(self.place, self.name, watched)


def die() -> None:
    """As by `kill -9`, at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def before_it(function: Callable[..., Any], *given: Any, **named: Any) -> None:
    """Die before the call."""
    die()


def after_it(function: Callable[..., Any], *given: Any, **named: Any) -> None:
    """Die after the call."""
    function(*given, **named)
    die()
