"""How a run can end before its end, what is said then, and with which exit code."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence

from pavi.files import DiskFullError
from pavi.training import GO_ON, FitStopped, NonFiniteLossError, ProcessLostError, RankError

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


def exit_code(
    run: Callable[[], None],
    *,
    where: Callable[[], str],
    command: Sequence[str],
    refused: Callable[[ValueError], bool] = lambda _: True,
) -> int:
    """Run, say how it ended, and return the exit code.

    Args:
        run: Does everything.
        where: From where it would go on, as a sentence.
        command: The command line.
        refused: Whether a `ValueError` says what is wrong with what was asked for; others are
            raised.

    Returns:
        0, 1 if the run failed, 2 if what was asked for is wrong, and see `told`.
    """
    try:
        run()
    except ValueError as error:
        if not refused(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NonFiniteLossError, DiskFullError, RankError) as error:
        print(f"error: {error}\n{where()}", file=sys.stderr)
        return 1
    except ENDS as end:
        return told(end, where=where(), command=command)
    return 0
