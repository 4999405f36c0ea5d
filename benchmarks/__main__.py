"""Runs kept benchmarks again, and keeps what they print: `results/benchmarks.txt`.

python -m benchmarks                     # the commands that are kept
python -m benchmarks "mixed chem97" ddp  # run those that begin so, one after another
python -m benchmarks all

A command that is not kept yet is added: `python -m benchmarks --add "gre --groups 300 --seeds 3"`.
Every result is written when it is there; one that fails is told, keeps its former line, and the
next is run. Times mean something on an idle machine only.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from benchmarks.ranks.launch import last_line
from pavi.files import write_text

KEPT = Path(__file__).parents[1] / "results" / "benchmarks.txt"
HEADER = "# What `python -m benchmarks.COMMAND` printed last, on two CPU cores.\n"
MARK = "## "


def read(path: Path) -> dict[str, str]:
    """What is kept: the last line that every command printed."""
    lines = path.read_text().removeprefix(HEADER).splitlines()
    marked = zip(lines[::2], lines[1::2], strict=True)
    return {command.removeprefix(MARK): printed for command, printed in marked}


def write(path: Path, kept: dict[str, str]) -> None:
    """Replace what is kept."""
    blocks = (f"{MARK}{command}\n{line}\n" for command, line in kept.items())
    write_text(path, HEADER + "".join(blocks))


def chosen(kept: Iterable[str], asked: Iterable[str]) -> list[str]:
    """The commands that begin as asked.

    Raises:
        ValueError: If something asked fits none, with those that are kept.
    """
    kept, found = list(kept), dict[str, None]()
    for words in asked:
        fitting = [c for c in kept if words == "all" or f"{c} ".startswith(f"{words} ")]
        if not fitting:
            known = "\n  ".join(kept)
            raise ValueError(f"no kept benchmark begins with {words!r}; there are\n  {known}")
        found |= dict.fromkeys(fitting)
    return list(found)


def printed_by(command: str) -> str:
    """The line of JSON with which a benchmark ends.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    modules = shlex.split(f"benchmarks.{command}")
    return last_line([sys.executable, "-m", *modules], command)


def main() -> int:
    """List, or run and keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("commands", nargs="*", help="how they begin; all for every one")
    parser.add_argument("--add", nargs="*", default=[], metavar="COMMAND", help="new ones, whole")
    given = parser.parse_args()
    kept, console = read(KEPT), Console(stderr=True)
    try:
        commands = [*chosen(kept, given.commands), *given.add]
    except ValueError as error:
        console.print(str(error), markup=False)
        return 2
    if not commands:
        print("\n".join(kept))
    failed = False
    for command in commands:
        try:
            with console.status(command):
                line = printed_by(command)
        except RuntimeError as error:
            console.print(str(error), markup=False)
            failed = True
            continue
        kept = {**read(KEPT), command: line}
        write(KEPT, kept)
        print(f"{MARK}{command}\n{line}", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
