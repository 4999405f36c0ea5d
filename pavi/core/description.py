"""A model as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from pavi.core.supports import in_words

if TYPE_CHECKING:
    from pavi.core.model import HierarchicalModel


def describe(model: HierarchicalModel, cardinalities: Mapping[str, int] | None) -> None:
    """See `HierarchicalModel.describe`."""
    sizes = cardinalities or {}
    model.plates.check_names(sizes)
    console = Console()
    plates = Table(title="plates", title_justify="left")
    for column in ("plate", "kind", "within", "rows"):
        plates.add_column(column, justify="right" if column == "rows" else "left")
    for name, plate in model.plates.items():
        kind = ("dense", "nested", "crossed")[min(len(plate.within), 2)]
        plates.add_row(name, kind, ", ".join(plate.within), _count(sizes.get(name)))
    console.print(plates)

    sites = Table(title="sites", title_justify="left")
    for column in ("site", "kind", "plates", "event", "parents", "support", "ground variables"):
        sites.add_column(column, justify="right" if column == "ground variables" else "left")
    for name, site in model.sites.items():
        known = all(plate in sizes for plate in site.plates)
        sites.add_row(
            name,
            site.kind,
            ", ".join(site.plates),
            " x ".join(map(str, site.event_shape)),
            ", ".join(site.parents),
            in_words(model.supports.get(name)),
            _count(prod(sizes[p] for p in site.plates) if known else None),
        )
    console.print(sites)
    if all(plate in sizes for plate in model.plates):
        console.print(f"{model.num_latents(sizes):,} latent dimensions in all")


def _count(number: int | None) -> str:
    return "" if number is None else f"{number:,}"
