"""Where a latent site starts: a constant, an array, or the centres of clusters of the data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor

from pavi.core.batch import PlateBatch

# More rows than this tell a start nothing new.
ROWS = 20_000
ITERATIONS = 25


@final
@dataclass(frozen=True)
class KMeans:
    """Cluster centres of an observed site, one for each row of the latent site's plate.

    Args:
        site: The observed site; its values are the points.
        seed: Of the first centres (k-means++) and of the rows that are looked at.

    Example:
        `Latent(lambda: Normal(0.0, 5.0), plates="component", init=KMeans("x"))`

    Reference:
        Arthur and Vassilvitskii (2007), k-means++: the advantages of careful seeding.
    """

    site: str
    seed: int = 0

    def centres(self, points: Tensor, count: int) -> Tensor:
        """The centres of `(points, size)`, `(count, size)`."""
        generator = torch.Generator(points.device).manual_seed(self.seed)
        if len(points) > ROWS:
            drawn = torch.randperm(len(points), generator=generator, device=points.device)
            points = points[drawn[:ROWS]]
        centres = points[torch.randint(len(points), (1,), generator=generator)]
        while len(centres) < count:
            nearest = torch.cdist(points, centres).amin(1).square()
            chosen = torch.multinomial(nearest + 1e-12, 1, generator=generator)
            centres = torch.cat([centres, points[chosen]])
        for _ in range(ITERATIONS):
            owner = torch.cdist(points, centres).argmin(1)
            sizes = torch.bincount(owner, minlength=count).unsqueeze(-1)
            total = torch.zeros_like(centres).index_add(0, owner, points)
            centres = torch.where(sizes > 0, total / sizes.clamp(min=1), centres)
        return centres


Start = float | Sequence[float] | Tensor | KMeans


def start_of(
    name: str, init: Start, *, plates: Sequence[str], event: tuple[int, ...], batch: PlateBatch
) -> Tensor:
    """The values that a site starts at, `(*plates, *event)`.

    Args:
        name: Of the latent site.
        init: What the user gave.
        plates: Its plates.
        event: The shape of one value.
        batch: All data.

    Raises:
        ValueError: If an array has another shape, or clusters do not fit the site.
    """
    shape = (*batch.shape(plates), *event)
    if not isinstance(init, KMeans):
        value = torch.as_tensor(init).to(batch.like)
        try:
            return value.expand(shape)
        except RuntimeError:
            raise ValueError(
                f"init of site {name!r} has shape {tuple(value.shape)}, which does not broadcast "
                f"to {shape} = (*plates, *event)."
            ) from None
    if init.site not in batch.values:
        raise ValueError(
            f"init of site {name!r}: {init.site!r} is not measured; these are "
            f"{sorted(batch.values)}."
        )
    if len(plates) != 1:
        raise ValueError(
            f"init of site {name!r}: KMeans needs a site on one plate, whose rows are the "
            f"clusters; its plates are {tuple(plates)}."
        )
    points = batch.values[init.site].to(batch.like)
    size = prod(event)
    if points.numel() % size:
        raise ValueError(
            f"init of site {name!r}: its values have {size} numbers, into which the "
            f"{points.numel()} of {init.site!r} do not divide."
        )
    points = points.reshape(-1, size)
    points = points[torch.isfinite(points).all(1)]
    count = shape[0]
    if len(points) < count:
        raise ValueError(
            f"init of site {name!r}: {count} clusters need at least as many points; "
            f"{init.site!r} has {len(points)}."
        )
    return init.centres(points, count).reshape(shape)
