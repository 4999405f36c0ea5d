r"""A rank's slice of the outermost plate.

The rows of the outermost plate `p` are split into `R` strata, contiguous slices whose sizes differ
by at most one. Rank `r` owns stratum `r`: the measured values of its rows and of all rows below
them, the encodings of these rows and the state of their optimiser. All other plates are on every
rank, whole.

**What a rank weighs.** Gradients are averaged over ranks, so the loss of a rank must estimate the
objective, not its share of it. Take the rank as drawn at random: then a row of stratum `r` is in
the batch of the rank with probability

.. math:: \pi_n = \frac1R \cdot \frac{n_r}{N_r}, \qquad w_n = R\, \frac{N_r}{n_r},

if `n_r` of the stratum's `N_r` rows are drawn, and a batch is an ordinary plate-batch with
ordinary Horvitz-Thompson weights. The average over all ranks is the expectation over the drawn
rank, taken exactly. With the objective :math:`F = \sum_g F_g + \sum_r \sum_{n \in r} f_n`,

.. math:: \frac1R \sum_r \Big[ \sum_g \hat F_g^r + R\, \frac{N_r}{n_r} \sum_{n \in B_r} f_n \Big]
    = \frac1R \sum_r \sum_g \hat F_g^r + \sum_r \frac{N_r}{n_r} \sum_{n \in B_r} f_n :

a stratified sample, each stratum weighted to its own size, and the mean of `R` estimates of the
global terms. Global are the sites that lie neither on `p` nor below it. Every rank has their
ground variables and estimates their terms in full: a site without plates weighs one, rows of a
plate that is crossed with `p` weigh what they weigh without shards.

**Rows reached upward.** In a sparse crossing a row `l` of another plate comes into a batch with
the rows of `p` that are connected to it, on rank `r` with a probability :math:`\pi^r_l` that is
zero where the stratum has none of them. Its weight follows from the same sentence,
:math:`w_l = 1 / \frac1R \sum_r \pi^r_l`, and is the same on every rank.

**Gradients of owned rows** come from their owner alone. Their average over ranks is that of the
owner's gradient and `R - 1` zeros, so the owner divides by `R` and nothing is sent. Global tables
are averaged row by row over ranks like those of any data-parallel run.

**Noise.** Expectations add up whatever the joint distribution of the ranks' noise, so ranks draw
noise of their own, for global sites too. That averages `R` times as many draws of these. With
noise of global sites in common, a step on all rows of all strata would have a path gradient of
zero variance where the guide is the posterior, as it has on one process; with noise of their own
the ranks' gradients cancel there only on average. A step on some rows has the variance of these
either way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.data.plate_data import PlateData
from pavi.data.rows import take_rows
from pavi.data.stores.subset import StoreSubset


@final
@dataclass(frozen=True)
class Shard:
    """The rows of one rank, see the top of this file; made by `Shard.of`.

    Rows of plates below the outermost one are in the order of their outermost row, so that the
    rows of all ranks, one after the other, are in an order that does not depend on the number of
    ranks.

    Args:
        plate: The outermost plate, which is sharded.
        rank: This rank.
        ranks: How many there are.
        data: The data of this rank.
        rows: Per plate that is split (`plate` and all below it), the numbers that this rank's
            rows have in the whole data.
        strata: Per split plate, how many rows each rank has.
        cardinalities: Of the whole data.
    """

    plate: str
    rank: int
    ranks: int
    data: PlateData
    rows: Mapping[str, np.ndarray]
    strata: Mapping[str, tuple[int, ...]]
    cardinalities: Mapping[str, int]

    @classmethod
    def of(cls, data: PlateData, plate: str, *, rank: int, ranks: int) -> Shard:
        """The shard of a rank.

        Args:
            data: The whole data.
            plate: A plate that lies within no other.
            rank: From 0 to `ranks - 1`.
            ranks: How many ranks share the data.

        Raises:
            ValueError: If the plate does not exist, lies within another or has fewer rows than
                there are ranks.

        Example:
            `Shard.of(data, "subject", rank=trainer.global_rank, ranks=trainer.world_size)`
        """
        check_shard(data.model, data.cardinalities, plate, ranks=ranks)
        if not 0 <= rank < ranks:
            raise ValueError(f"rank must be between 0 and {ranks - 1}, got {rank}.")
        edges = strata_edges(data.cardinalities[plate], ranks)
        rows = {plate: np.arange(edges[rank], edges[rank + 1])}
        strata = {plate: tuple(np.diff(edges).tolist())}
        for split in split_plates(data.model, plate)[1:]:
            above = data.parent_rows(split, plate)
            counts = np.bincount(np.searchsorted(edges, above, side="right") - 1, minlength=ranks)
            assert counts.all()  # data with a row that has none below it are refused
            own = np.flatnonzero((above >= edges[rank]) & (above < edges[rank + 1]))
            rows[split] = own[np.argsort(above[own], kind="stable")]
            strata[split] = tuple(counts.tolist())
        return cls(plate, rank, ranks, _part(data, rows), rows, strata, data.cardinalities)

    def on(self, plates: Sequence[str]) -> str | None:
        """The one of a site's plates that is split; None if every rank has all of the site.

        No site lies on two plates that lie within the same one, so there is one at most.
        """
        return next((plate for plate in plates if plate in self.rows), None)

    def start(self, plate: str) -> int:
        """How many rows of a split plate the ranks before this one have."""
        return sum(self.strata[plate][: self.rank])

    def global_rows(self) -> dict[str, Tensor]:
        """Per plate, for each row of the whole data the row here that it is, or -1."""
        found = {}
        for plate, size in self.cardinalities.items():
            found[plate] = torch.arange(size)
            if plate in self.rows:
                found[plate] = torch.full((size,), -1)
                found[plate][self.rows[plate]] = torch.arange(len(self.rows[plate]))
        return found


def split_plates(model: HierarchicalModel, plate: str) -> tuple[str, ...]:
    """An outermost plate and all below it, coarser first."""
    below = model.plates.descendants(plate)
    return (plate, *(name for name in model.plates if name in below))


def strata_edges(rows: int, ranks: int) -> np.ndarray:
    """Where the slices of the ranks start and end, `(ranks + 1,)`.

    Example:
        >>> strata_edges(10, 4).tolist()
        [0, 3, 6, 8, 10]
    """
    size, larger = divmod(rows, ranks)
    return np.concatenate([[0], np.cumsum([size + (rank < larger) for rank in range(ranks)])])


def check_shard(
    model: HierarchicalModel, cardinalities: Mapping[str, int], plate: str, *, ranks: int
) -> None:
    """A plate can be split over so many ranks.

    Raises:
        ValueError: If the plate does not exist, lies within another or has fewer rows than there
            are ranks.
    """
    graph = model.plates
    if plate not in graph:
        raise ValueError(f"shard={plate!r} is not a plate; plates are {list(graph)}.")
    if above := graph.ancestors(plate):
        outermost = [name for name in graph if not graph.ancestors(name) and name in above]
        raise ValueError(
            f"shard={plate!r} lies within {sorted(above)}; the plate that is sharded must lie "
            f"within no other: use {' or '.join(map(repr, outermost))}."
        )
    if ranks < 1:
        raise ValueError(f"the number of ranks must be positive, got {ranks}.")
    if (rows := cardinalities[plate]) < ranks:
        raise ValueError(
            f"shard={plate!r}: {ranks} ranks cannot share the {rows} rows of plate {plate!r}, of "
            f"which each needs one at least; use at most {rows} devices (devices times nodes), or "
            "leave out shard, so that every rank has all rows."
        )


def _part(data: PlateData, rows: Mapping[str, np.ndarray]) -> PlateData:
    """The data of these rows; what is contiguous shares memory with the whole."""
    links: dict[str, Mapping[str, Tensor]] = {}
    for plate, parents in data.links.items():
        if plate not in rows:
            links[plate] = parents
            continue
        own = torch.as_tensor(rows[plate])
        links[plate] = {
            parent: _positions(numbers[own], rows[parent]) if parent in rows else numbers[own]
            for parent, numbers in parents.items()
        }

    def slices(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n: _slice(v, data.model.sites[n].plates, rows) for n, v in values.items()}

    return PlateData(
        model=data.model,
        cardinalities={p: len(rows[p]) if p in rows else n for p, n in data.cardinalities.items()},
        links=links,
        values=slices(data.values),
        present=slices(data.present),
        labels={
            plate: [names[row] for row in rows[plate].tolist()] if plate in rows else names
            for plate, names in data.labels.items()
        },
        like=data.like,
        stores={
            name: StoreSubset(store, [rows.get(p) for p in data.model.sites[name].plates])
            for name, store in data.stores.items()
        },
    )


def _slice(value: Tensor, plates: Sequence[str], rows: Mapping[str, np.ndarray]) -> Tensor:
    for axis, plate in enumerate(plates):
        if plate in rows:
            own = rows[plate]
            if len(own) == own[-1] - own[0] + 1 and (np.diff(own) == 1).all():
                return value.narrow(axis, int(own[0]), len(own))
    return take_rows(value, plates, rows)


def _positions(numbers: Tensor, rows: np.ndarray) -> Tensor:
    """Where in `rows` each of the numbers stands."""
    order = np.argsort(rows)
    return torch.as_tensor(order[np.searchsorted(rows[order], numbers.numpy())])
