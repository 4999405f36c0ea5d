"""How a run can end before its end, what is said then, and with which exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence

from pavi.training import GO_ON, FitStopped, ProcessLostError

# After each of these the same command goes on.
ENDS = (KeyboardInterrupt, FitStopped, ProcessLostError)
INTERRUPTED = 130  # of Ctrl-C


def told(end: BaseException, *, where: str, command: Sequence[str]) -> int:
    """Say how to go on, and return the exit code.

    Args:
        end: One of `ENDS`.
        where: From where it goes on, as a sentence.
        command: The command line.
    """
    code = INTERRUPTED if isinstance(end, KeyboardInterrupt) else GO_ON
    if isinstance(end, FitStopped):
        code = end.exit_code
    if code:  # that of another process than the first, which speaks for all, is 0
        print(
            f"{str(end) or 'interrupted'}. {where} The same command goes on from what is there:\n"
            f"{shlex.join(command)}",
            file=sys.stderr,
        )
    return code
