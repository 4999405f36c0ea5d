"""Who takes part in the race, on what, and with which command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

RACE_CAP, NUTS_CAP = 60, 180  # seconds of a fit


@final
@dataclass(frozen=True)
class Cell:
    """A problem at a size.

    Args:
        problem: Its name.
        groups: The number of groups of `gre`; that of the data elsewhere.
        tuned_as: The cell whose settings are used, this one if None.
        nuts: Whether a chain is run.
        search_cap: Seconds of the processor that a trial of the search may take.
    """

    problem: str
    groups: int | None = None
    tuned_as: Cell | None = None
    nuts: bool = True
    search_cap: int = 40

    @property
    def name(self) -> str:
        """In names of files."""
        return self.problem if self.groups is None else f"{self.problem}-{self.groups}"

    @property
    def data(self) -> str:
        """The name of the file of data."""
        return f"{self.name}.npz"

    def export(self) -> list[str]:
        """The arguments of Python that write the data into the file of that name."""
        sizes = [] if self.groups is None else [f"groups={self.groups}"]
        return ["-m", "benchmarks.peers.export", self.problem, self.data, *sizes]


@final
@dataclass(frozen=True)
class Entrant:
    """A method.

    Args:
        name: In the tables.
        slug: In names of files.
        module: What is run.
        guide: Its guide, if it has several.
        ours: Whether it runs in the environment of `pavi`.
        problems: Those it takes part in.
        steps: Of the trials that the search begins with.
    """

    name: str
    slug: str
    module: str
    guide: str | None = None
    ours: bool = False
    problems: tuple[str, ...] = ("gre", "hv", "chem97")
    steps: int = 1000

    def command(self, cell: Cell, options: Sequence[str]) -> list[str]:
        """The arguments of Python."""
        guide = [] if self.guide is None else ["--guide", self.guide]
        if not self.ours:
            return ["-m", self.module, cell.data, *guide, *options]
        size = [] if cell.groups is None else ["--groups", str(cell.groups)]
        return ["-m", self.module, cell.problem, *guide, *size, *options]


LARGE = Cell("gre", 30_000, nuts=False, search_cap=20)
CELLS = (
    Cell("hv"),
    Cell("gre", 300),
    Cell("gre", 3000),
    Cell("chem97"),
    LARGE,
    # A fit of the peers is too long here for a search.
    Cell("gre", 300_000, tuned_as=LARGE, nuts=False),
)
ENTRANTS = (
    Entrant("PAVI-E", "pavi_e", "benchmarks.first_gap", "pavi_e", ours=True, steps=500),
    Entrant("PAVI-F", "pavi_f", "benchmarks.first_gap", "pavi_f", ours=True),
    Entrant(
        "NumPyro mean field by hand",
        "numpyro_by_hand",
        "benchmarks.peers.numpyro_svi",
        "mean_field",
        problems=("gre",),
    ),
    Entrant("NumPyro AutoNormal", "numpyro_auto", "benchmarks.peers.numpyro_svi", "auto_normal"),
    Entrant("Pyro AutoNormal", "pyro_auto", "benchmarks.peers.pyro_auto", "auto_normal"),
    Entrant(
        "Pyro AutoNormalMessenger", "pyro_messenger", "benchmarks.peers.pyro_auto", "messenger"
    ),
)
NUTS = Entrant("NumPyro NUTS", "numpyro_nuts", "benchmarks.peers.numpyro_nuts")
