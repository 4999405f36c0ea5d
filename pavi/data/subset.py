"""Which rows of every plate a choice of some rows leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pavi.data.plate_data import PlateData


def subset_rows(
    data: PlateData, rows: Mapping[str, Sequence[int] | np.ndarray]
) -> dict[str, np.ndarray]:
    """The rows of `PlateData.subset`, per plate that some rows of are left, ascending.

    Args:
        data: The data.
        rows: Per plate, row numbers; plates that have nothing to do with these stay whole.

    Raises:
        ValueError: If a plate does not exist, a row is out of range, or two of the plates lie
            within one another.
    """
    graph = data.model.plates
    chosen: dict[str, np.ndarray] = {}
    for plate, numbers in rows.items():
        if plate not in graph:
            raise ValueError(f"{plate!r} is not a plate; plates are {list(graph)}.")
        size, found = data.cardinalities[plate], np.unique(np.asarray(numbers))
        if not len(found) or found[0] < 0 or found[-1] >= size:
            raise ValueError(
                f"plate {plate!r} has rows 0 to {size - 1}; got {len(found)} row numbers"
                + (f" from {found[0]} to {found[-1]}." if len(found) else ".")
            )
        related = graph.ancestors(plate) | graph.descendants(plate)
        if clash := sorted(related & set(rows)):
            raise ValueError(
                f"plates {plate!r} and {clash[0]!r} lie within one another; name one of them."
            )
        chosen[plate] = found
    touched = {below for plate in rows for below in graph.descendants(plate)}
    for plate in graph:
        if plate in touched:
            kept = np.ones(data.cardinalities[plate], dtype=bool)
            for parent in graph[plate].within:
                if parent in chosen:
                    kept &= np.isin(data.links[plate][parent].numpy(), chosen[parent])
            chosen[plate] = np.flatnonzero(kept)
    for plate in reversed(graph):
        below = [child for child in graph.children(plate) if child in chosen]
        if below and plate not in rows:
            reached = [data.links[c][plate].numpy()[chosen[c]] for c in below]
            chosen[plate] = np.unique(np.concatenate(reached))
    return chosen
