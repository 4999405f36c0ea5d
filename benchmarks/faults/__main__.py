"""Do to a run what may go wrong, go on with it, and compare it with an undisturbed one.

python -m benchmarks.faults --kills 20
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.faults.damages import damages
from benchmarks.faults.disks import disks
from benchmarks.faults.fault import Fault, Outcome, outcome
from benchmarks.faults.kills import kills
from benchmarks.faults.programs import Program
from benchmarks.faults.ranks import ranks
from benchmarks.faults.record import Record
from benchmarks.faults.signals import signals
from benchmarks.faults.streams import streams
from benchmarks.faults.victim import started
from benchmarks.report import report
from experiments.tables import Row, cell, markdown
from pavi.files import write_text

CAPTION = "What was done to a run, and what came of it"


def undisturbed(program: Program) -> Record:
    """What a run leaves that nothing happens to."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "disk" / "run"
        folder.parent.mkdir()
        victim = started(folder, program=program)
        codes = victim.wait()
        if any(code != 0 for code in codes):
            raise RuntimeError(f"the undisturbed run ended with {codes}:\n{victim.said()}")
        return Record.of(folder)


def faults(seed: int, number: int) -> Iterator[Fault]:
    """All of them.

    Args:
        seed: Of when and where they strike.
        number: How many kills.
    """
    rng = random.Random(seed)
    yield from kills(rng, number)
    yield from signals(rng)
    yield from disks()
    yield from damages(rng)
    yield from ranks(rng)
    yield from streams(rng)


def rows(found: list[Outcome]) -> list[Row]:
    """A row per fault."""
    return [
        {
            "fault": each.fault,
            "how the run ended": each.ended,
            "difference in the end": each.difference,
            "survived": (each.complaint or "yes") if each.tried else "not tried",
        }
        for each in found
    ]


def table(listed: list[Row]) -> Table:
    """The rows for a terminal."""
    shown = Table(title=CAPTION, title_justify="left")
    for heading in listed[0]:
        shown.add_column(heading)
    for row in listed:
        shown.add_row(*(cell(value) for value in row.values()))
    return shown


def main() -> int:
    """Try all faults; the exit code is 1 if one was not survived."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of when and where faults strike")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="faults with one of these words")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write it as Markdown")
    arguments = parser.parse_args()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    listed = list(faults(arguments.seed, arguments.kills))
    if arguments.only:
        listed = [each for each in listed if any(text in each.name for text in arguments.only)]
    found: list[Outcome] = []
    calm: dict[Program, Record] = {}
    # Drawn by hand: a process that forks must not have threads.
    with Progress(
        *columns, TimeElapsedColumn(), console=Console(stderr=True), auto_refresh=False
    ) as bar:
        task = bar.add_task("", total=len(listed))
        for fault in listed:
            if fault.program not in calm:
                bar.update(task, description="undisturbed run", refresh=True)
                calm[fault.program] = undisturbed(fault.program)
            bar.update(task, description=fault.name, refresh=True)
            found.append(outcome(fault, calm[fault.program]))
            bar.update(task, advance=1, refresh=True)
    if not found:
        parser.error(f"no fault has one of {arguments.only} in its name")
    Console(stderr=True).print(table(rows(found)))
    if arguments.table:
        write_text(arguments.table, markdown(rows(found), caption=f"{CAPTION}."))
    tried = [each for each in found if each.tried]
    survived = [each for each in tried if each.complaint is None]
    report(
        {
            "tried": len(tried),
            "survived": len(survived),
            "max_difference": max((each.difference or 0.0 for each in tried), default=0.0),
            "not_tried": [each.fault for each in found if not each.tried],
            "not_survived": {e.fault: e.complaint for e in tried if e.complaint is not None},
        }
    )
    return 0 if len(survived) == len(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
