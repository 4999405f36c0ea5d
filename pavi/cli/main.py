"""The `pavi` command: what it runs, and exit codes."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from importlib import import_module

from pavi.cli.exit_codes import FAILED, INTERRUPTED, MISTAKE, SUCCESS
from pavi.cli.parser import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line by default.

    Returns:
        The exit code: 0, 1 if the fit or the machine failed, 2 if what was asked for cannot be,
        75 if a signal ended a fit that the same command goes on with, 130 on Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    parsed = parser.parse_args(given)
    if parsed.run is None:
        parser.print_help()
        return MISTAKE
    parsed.command_line = ["pavi", *given]
    try:
        # The module of the command and no other: help needs no torch, a model no Lightning.
        run: Callable[[Namespace], int | None] = import_module(parsed.run).run
        code = run(parsed)
        sys.stdout.flush()
    except ValueError as error:
        return _failed(error, MISTAKE)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (ImportError, OSError) as error:
        return _failed(error, FAILED)
    except KeyboardInterrupt as end:
        print(str(end) or "interrupted. Nothing was kept.", file=sys.stderr)
        return INTERRUPTED
    return SUCCESS if code is None else code


def _failed(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
