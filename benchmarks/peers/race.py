"""Ours and other libraries on the same data: seconds to a gap, as a table.

python -m benchmarks.peers.race --python peers/bin/python

Every fit is a process of its own, and they run one after the other, on all cores. First comes the
search for the settings of each method on each problem and size, kept in `results/peers/search`,
then the race, in `results/peers/runs`. What has finished there is not run again, so the same
command goes on where it was killed; what failed is tried again. Writes `results/peers.md`, ends
with one line of JSON, and exits with 1 if a process failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from rich.progress import track

from benchmarks.peers.entrants import (
    CELLS,
    ENTRANTS,
    NUTS,
    NUTS_CAP,
    RACE_CAP,
    Cell,
    Entrant,
)
from benchmarks.peers.record import Record, last_line
from benchmarks.peers.tables import page
from benchmarks.report import report

RESULTS = Path("results")
SEARCHING, STARTING = 1800, 240  # seconds that a search may take; a fit, besides its training


@final
@dataclass
class Race:
    """The search and the race, with what is already there.

    Args:
        python: The interpreter of the environment of the peers.
        folder: Where results are kept.
        data: Where data are written to.
    """

    python: str
    folder: Path
    data: Path
    _written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.searches, self.runs = Record(self.folder / "search"), Record(self.folder / "runs")

    def search(self, entrant: Entrant, cell: Cell) -> dict[str, Any] | None:
        """The search for the settings of a cell."""
        cell = cell.tuned_as or cell
        options = ["--search", "--steps", str(entrant.steps), "--cap", str(cell.search_cap)]
        return self._obtain(self.searches, entrant, cell, options, timeout=SEARCHING)

    def run(self, entrant: Entrant, cell: Cell) -> dict[str, Any] | None:
        """The fit with the settings that were found; None if there are none, or it fails."""
        if entrant is NUTS:
            options = ["--cap", str(NUTS_CAP)]
            return self._obtain(self.runs, entrant, cell, options, timeout=NUTS_CAP)
        if (found := self.search(entrant, cell)) is None:
            return None
        options = ["--cap", str(RACE_CAP)]
        for name, value in found["chosen"].items():
            options += [f"--{name}", str(value)]
        return self._obtain(self.runs, entrant, cell, options, timeout=RACE_CAP)

    def _obtain(
        self, record: Record, entrant: Entrant, cell: Cell, options: Sequence[str], timeout: float
    ) -> dict[str, Any] | None:
        command = entrant.command(cell, options)

        def carry_out() -> dict[str, Any]:
            python = sys.executable if entrant.ours else self.python
            if not entrant.ours:
                self._export(cell)
            return last_line(python, self._placed(command, cell), timeout=timeout + STARTING)

        return record.obtain(f"{cell.name}-{entrant.slug}", ["python", *command], carry_out)

    def _export(self, cell: Cell) -> None:
        if cell.name not in self._written:
            subprocess.run([sys.executable, *self._placed(cell.export(), cell)], check=True)
            self._written.add(cell.name)

    def _placed(self, command: Sequence[str], cell: Cell) -> list[str]:
        """The command with the file of data where it is."""
        return [str(self.data / word) if word == cell.data else word for word in command]


def takes_part(entrant: Entrant, cell: Cell) -> bool:
    """Whether there is such a run."""
    return cell.nuts if entrant is NUTS else cell.problem in entrant.problems


def main() -> None:
    """Search, race, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="of the environment of the peers")
    parser.add_argument("--cells", help="some of them, by name, separated by commas")
    parser.add_argument("--search-only", action="store_true", help="stop before the race")
    parser.add_argument("--folder", type=Path, default=RESULTS, help="where results go")
    arguments = parser.parse_args()
    known = [cell.name for cell in CELLS]
    wanted = known if arguments.cells is None else arguments.cells.split(",")
    if unknown := sorted(set(wanted) - set(known)):
        parser.error(f"--cells: there is no {unknown}; cells are {known}")
    cells = [cell for cell in CELLS if cell.name in wanted]
    pairs = [(e, c) for c in cells for e in (*ENTRANTS, NUTS) if takes_part(e, c)]
    with tempfile.TemporaryDirectory() as data:
        race = Race(arguments.python, arguments.folder / "peers", Path(data))
        searches = {
            (entrant.name, cell.name): race.search(entrant, cell)
            for entrant, cell in track(pairs, "search")
            if entrant is not NUTS and cell.tuned_as is None
        }
        found: dict[tuple[str, str], dict[str, Any] | None] = {}
        if not arguments.search_only:
            found = {(e.name, c.name): race.run(e, c) for e, c in track(pairs, "race")}
            (arguments.folder / "peers.md").write_text(page(found, searches))
    names = [f"{(c.tuned_as or c).name}-{e.slug}" for e, c in pairs]
    errors = race.searches.errors(names)
    if not arguments.search_only:
        errors |= race.runs.errors(f"{c.name}-{e.slug}" for e, c in pairs)
    report({"runs": len(found), "searches": len(searches), "errors": errors})
    sys.exit(bool(errors))


if __name__ == "__main__":
    main()
