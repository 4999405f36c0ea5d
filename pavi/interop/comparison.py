"""A fit beside reference draws: how far apart, in standard deviations of the reference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import final

import torch
from rich.console import Console, ConsoleOptions
from rich.table import Table
from torch import Tensor

from pavi.interop.reference import Moments, ReferencePosterior
from pavi.posterior import Posterior


@final
@dataclass(frozen=True)
class GlobalRow:
    """One number that all data share, in both posteriors.

    Args:
        mean: Of the fit.
        sd: Of the fit.
        reference_mean: Of the reference.
        reference_sd: Of the reference.
    """

    mean: float
    sd: float
    reference_mean: float
    reference_sd: float

    @property
    def z(self) -> float:
        """The difference of the means in standard deviations of the reference."""
        return (self.mean - self.reference_mean) / self.reference_sd

    @property
    def sd_ratio(self) -> float:
        """The standard deviation of the fit over that of the reference."""
        return self.sd / self.reference_sd


@final
@dataclass(frozen=True)
class PlateRow:
    """All values of one site on plates, in both posteriors.

    Args:
        values: How many.
        rms_z: The root mean square of the differences of the means, each in standard deviations
            of the reference.
        sd_ratio: The median ratio of standard deviations.
    """

    values: int
    rms_z: float
    sd_ratio: float


@final
@dataclass(frozen=True)
class Comparison:
    """What `compare` returns. Prints as a table.

    Args:
        globals: Per number of a site without plates, by name such as `beta[0]`.
        plates: Per site on plates.
        doubt: Why the reference is none, if it says so.
    """

    globals: Mapping[str, GlobalRow]
    plates: Mapping[str, PlateRow]
    doubt: str | None = None

    def agrees(self, *, mean: float = 0.3, sd: float = 0.2) -> bool:
        """Whether every global lies within bounds.

        Args:
            mean: The largest difference of means, in standard deviations of the reference.
            sd: The largest relative difference of standard deviations.
        """
        rows = self.globals.values()
        return all(abs(r.z) <= mean and abs(r.sd_ratio - 1) <= sd for r in rows)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Draw two tables: globals one by one, sites on plates in one line each."""
        columns = ("global", "mean", "sd", "reference mean", "reference sd", "z", "sd ratio")
        caption = "z: difference of the means in reference sd"
        table = _table(columns, f"{caption}. {self.doubt}" if self.doubt else caption)
        for name, row in self.globals.items():
            numbers = (row.mean, row.sd, row.reference_mean, row.reference_sd)
            texts = (f"{number:.4g}" for number in numbers)
            table.add_row(name, *texts, f"{row.z:+.2f}", f"{row.sd_ratio:.2f}")
        yield table
        if self.plates:
            table = _table(("site on plates", "values", "rms z", "median sd ratio"), None)
            for name, group in self.plates.items():
                cells = (f"{group.values:,}", f"{group.rms_z:.3f}", f"{group.sd_ratio:.2f}")
                table.add_row(name, *cells)
            yield table

    def __str__(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def compare(
    posterior: Posterior,
    reference: ReferencePosterior | Moments,
    *,
    draws: int = 4000,
    seed: int = 0,
) -> Comparison:
    r"""Compare means and standard deviations, site by site.

    .. math:: z = (m - m_{\mathrm{ref}}) / s_{\mathrm{ref}}, \qquad
        \text{sd ratio} = s / s_{\mathrm{ref}}

    Args:
        posterior: The fit.
        reference: Draws of the same posterior, or their moments; sites it lacks are left out.
        draws: Of the fit.
        seed: Of these.

    Raises:
        ValueError: If the reference is of another kind, or has a site that the fit lacks, or of
            another shape.
    """
    if not isinstance(reference, ReferencePosterior | Moments):
        raise ValueError(
            f"the reference must be a ReferencePosterior or Moments, got a "
            f"{type(reference).__name__}; reference_posterior(model, data) makes one."
        )
    moments = reference.moments() if isinstance(reference, ReferencePosterior) else reference
    model = posterior.model
    if unknown := [name for name in moments.mean if name not in model.latents]:
        raise ValueError(
            f"the reference has the site {unknown[0]!r}, which is not a latent site of the "
            f"fitted model; these are {list(model.latents)}."
        )
    sites = [name for name in model.latents if name in moments.mean]
    summary = posterior.summary(*sites, draws=draws, seed=seed)
    rows: dict[str, GlobalRow] = {}
    groups: dict[str, PlateRow] = {}
    for name in sites:
        mean, sd = summary.mean[name].double(), summary.sd[name].double()
        its_mean, its_sd = moments.mean[name].double(), moments.sd[name].double()
        if its_mean.shape != mean.shape:
            raise ValueError(
                f"site {name!r} has shape {tuple(its_mean.shape)} in the reference and "
                f"{tuple(mean.shape)} in the fit; both must be of the same data."
            )
        if model.sites[name].plates:
            groups[name] = PlateRow(
                int((its_sd > 0).sum()),
                float(((mean - its_mean) / its_sd)[its_sd > 0].square().mean().sqrt()),
                float((sd / its_sd)[its_sd > 0].median()),
            )
        else:
            rows |= dict(_rows(name, torch.stack([mean, sd, its_mean, its_sd])))
    doubt = reference.doubt if isinstance(reference, ReferencePosterior) else None
    return Comparison(rows, groups, doubt)


def _rows(name: str, numbers: Tensor) -> Iterator[tuple[str, GlobalRow]]:
    """From `(4, *event)`, a row per entry of the event that is not one constant by its support."""
    for index in product(*map(range, numbers.shape[1:])):
        mean, sd, its_mean, its_sd = (float(part[index]) for part in numbers)
        if its_sd == 0 and sd == 0 and its_mean == mean:
            continue
        label = f"{name}[{', '.join(map(str, index))}]" if index else name
        yield label, GlobalRow(mean, sd, its_mean, its_sd)


def _table(columns: tuple[str, ...], caption: str | None) -> Table:
    table = Table(caption=caption)
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table
