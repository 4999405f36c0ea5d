"""Which tables of a guide a rank owns, and what of them the ranks have to tell each other.

See `pavi.data.shard` for what sharding is. Everything that a guide shares between rows is the same
on every rank. Of its tables, those of sites on split plates hold the rows of one rank and belong
to it; the others are the same on every rank too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import final

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pavi.data import PlateData, Shard, starting_batch
from pavi.guides import PlateAmortizedGuide
from pavi.guides.base import Guide
from pavi.training.chunks import Slice
from pavi.training.ranks import sum_over_ranks


@final
@dataclass(frozen=True)
class Sharding:
    """The tables of a guide on one rank.

    Args:
        shard: The rows of this rank.
        owned: Per site on a split plate, its table.
        common: The tables that every rank has, of the same rows.
    """

    shard: Shard
    owned: Mapping[str, nn.Parameter]
    common: tuple[nn.Parameter, ...]

    @classmethod
    def of(cls, guide: Guide, shard: Shard) -> Sharding:
        """The tables of a guide that was built for the data of a shard.

        Raises:
            ValueError: If the guide cannot be sharded, or was built for other data.
        """
        if not isinstance(guide, PlateAmortizedGuide):
            raise ValueError(
                f"shard={shard.plate!r} needs a PlateAmortizedGuide, whose tables have a row per "
                f"ground variable; got {type(guide).__name__}."
            )
        owned: dict[str, nn.Parameter] = {}
        common: list[nn.Parameter] = []
        for site, table in guide.encoder.tables().items():
            plates = guide.model.sites[site].plates
            rows = prod(shard.data.cardinalities[plate] for plate in plates)
            if len(table) != rows:
                raise ValueError(
                    f"shard={shard.plate!r}: the guide has {len(table)} rows of site {site!r}, "
                    f"and rank {shard.rank} of {shard.ranks} owns {rows}; build the guide with "
                    "shard.data.cardinalities."
                )
            if shard.on(plates) is None:
                common.append(table)
            else:
                owned[site] = table
        return cls(shard, owned, tuple(common))

    def shape(self, site: str) -> tuple[int, ...]:
        """How many rows of each plate of a site this rank has."""
        plates = self.shard.data.model.sites[site].plates
        return tuple(self.shard.data.cardinalities[plate] for plate in plates)

    def slice_of(self, site: str) -> Slice:
        """Where the rows of a site here lie among those of all ranks, `(*plates, width)`."""
        plates = self.shard.data.model.sites[site].plates
        split = self.shard.on(plates)
        assert split is not None
        return Slice(
            axis=plates.index(split),
            start=self.shard.start(split),
            total=self.shard.cardinalities[split],
        )


def initialise_guide(guide: Guide, data: PlateData, shard: Shard | None) -> None:
    """Start the sites that have an `init` there; alike on every rank.

    Args:
        guide: For the data of the shard, or all data.
        data: All data.
        shard: The rows that the guide is for; all if None.

    Raises:
        ValueError: If an `init` does not fit its site, or the guide the shard.
    """
    if shard is None:
        guide.initialise(starting_batch(data))
        return
    Sharding.of(guide, shard)
    assert isinstance(guide, PlateAmortizedGuide)
    guide.initialise(starting_batch(data), rows=shard.rows)


def norm_over_ranks(norm: Tensor) -> Tensor:
    """The norm of all ranks' vectors together, from that of each: the root of a sum of squares."""
    square = norm.double().square()  # that of a single-precision number does not overflow
    dist.all_reduce(square)
    return square.sqrt().to(norm.dtype)


@torch.no_grad()
def assembled(guide: Guide, shard: Shard) -> PlateAmortizedGuide:
    """The guide of all rows, from those of all ranks; every rank must call this, and gets it.

    It takes the memory of all tables on every rank. Where that is too much, the guide of a rank
    is a guide of the data of its shard, as it is: `Posterior(guide, shard.data)`.

    Args:
        guide: That of this rank.
        shard: Its rows.
    """
    sharding = Sharding.of(guide, shard)
    assert isinstance(guide, PlateAmortizedGuide)
    whole = guide.resized(shard.global_rows())
    if shard.ranks > 1:
        for site in sharding.owned:
            table = whole.encoder.tables()[site]  # zeros where another rank has the row
            table.copy_(sum_over_ranks(table))
    return whole
