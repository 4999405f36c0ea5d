"""Means, standard deviations and quantiles of all latent sites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, final

import torch
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text
from torch import Tensor

from pavi.data import PlateData
from pavi.guides.base import Guide
from pavi.posterior.joint_draws import JointDraws

MAX_ROWS = 3
LEVELS = (0.05, 0.5, 0.95)


@final
@dataclass(frozen=True)
class Summary:
    """Marginal summaries, per site `(*plates, *event)`. Prints as a table.

    Args:
        mean: Posterior means.
        sd: Posterior standard deviations.
        quantiles: At `levels`, `(levels, *plates, *event)`.
        levels: The quantile levels.
        plates: Per site, its plates.
        labels: Per plate, the user's names of its rows.
    """

    mean: Mapping[str, Tensor]
    sd: Mapping[str, Tensor]
    quantiles: Mapping[str, Tensor]
    levels: tuple[float, ...]
    plates: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[Any]]

    def rows(self, site: str, *, limit: int | None = None) -> Iterator[tuple[str, list[float]]]:
        """One line per ground variable: its name, then mean, sd and quantiles."""
        mean = self.mean[site]
        for number, index in enumerate(product(*map(range, mean.shape))):
            if number == limit:
                return
            values = [self.mean[site][index], self.sd[site][index]]
            values += [self.quantiles[site][(level, *index)] for level in range(len(self.levels))]
            yield self._name(site, index), [float(value) for value in values]

    def _name(self, site: str, index: tuple[int, ...]) -> str:
        plates = self.plates[site]
        parts = [
            f"{plate} {self.labels[plate][i] if plate in self.labels else i}"
            for plate, i in zip(plates, index, strict=False)
        ]
        parts += [str(i) for i in index[len(plates) :]]
        return f"{site}[{', '.join(parts)}]" if parts else site

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Draw the table: a few rows per plate, with a count of those left out."""
        table = Table()
        for column in ("", "mean", "sd", *(f"{100 * level:g}%" for level in self.levels)):
            table.add_column(column, justify="right" if column else "left")
        for site in self.mean:
            for name, values in self.rows(site, limit=MAX_ROWS if self.plates[site] else None):
                table.add_row(Text(name), *(f"{value:.4g}" for value in values))
            left = self.mean[site].numel() - MAX_ROWS
            if self.plates[site] and left > 0:
                table.add_row(f"... {left:,} more of {site}")
        yield table

    def __str__(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


@torch.no_grad()
def summarise(
    guide: Guide,
    data: PlateData,
    sites: Sequence[str],
    *,
    draws: int,
    seed: int,
    levels: tuple[float, ...],
    progress: bool = False,
) -> Summary:
    """See `Posterior.summary`."""
    joint = JointDraws(guide, data, draws=draws, seed=seed)
    found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {site: [] for site in sites}
    for part in joint.parts(sites, progress=progress):
        for site in sites:
            if found[site] and joint.chunks.shared(site):
                continue
            value = part.draws.values[site]
            levels_tensor = torch.tensor(levels, dtype=value.dtype, device=value.device)
            quantiles = torch.quantile(value, levels_tensor, dim=0)
            found[site].append((value.mean(0).cpu(), value.std(0).cpu(), quantiles.cpu()))

    def joined(part: int) -> dict[str, Tensor]:
        # Quantiles have an axis of levels in front.
        return {
            site: joint.chunks.join(site, [parts[part] for parts in chunked], lead=int(part == 2))
            for site, chunked in found.items()
        }

    plates = {site: data.model.sites[site].plates for site in sites}
    return Summary(joined(0), joined(1), joined(2), levels, plates, data.labels)
