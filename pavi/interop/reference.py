"""Draws of a posterior by Markov chain Monte Carlo, to check a fit against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from math import isfinite
from typing import final

import torch
from rich.console import Console, ConsoleOptions
from rich.table import Table
from torch import Tensor

# Split R-hat above which chains have not mixed; Vehtari et al. (2021), Rank-normalization,
# folding, and localization: an improved R-hat, say 1.01.
CONVERGED = 1.01


def format_r_hat(value: float) -> str:
    """An R-hat with two decimals, or as many as it takes to see on which side of 1.01 it is.

    Example:
        >>> format_r_hat(1.83412), format_r_hat(1.0104)
        ('1.83', '1.0104')
    """
    texts = (f"{value:.{digits}f}" for digits in count(2))
    return next(text for text in texts if (float(text) > CONVERGED) == (value > CONVERGED))


@final
@dataclass(frozen=True)
class Moments:
    """Means and standard deviations of a posterior, per site `(*plates, *event)`.

    Args:
        mean: Posterior means.
        sd: Posterior standard deviations.
    """

    mean: Mapping[str, Tensor]
    sd: Mapping[str, Tensor]


@final
@dataclass(frozen=True)
class ReferencePosterior:
    """What `reference_posterior` returns. Prints as a table of the sites.

    Args:
        draws: Per latent site, `(chain, draw, *plates, *event)`, in double precision.
        r_hat: Per latent site, the rank-normalised split R-hat, `(*plates, *event)`.
        ess: Per latent site, the bulk effective sample size, `(*plates, *event)`.
        divergences: How many transitions after the warm-up diverged.
        gradients: How many gradients the draws and the warm-up took.
        seconds: How long sampling took, the warm-up included.
        compile_seconds: How long compiling the log density took.
    """

    draws: Mapping[str, Tensor]
    r_hat: Mapping[str, Tensor]
    ess: Mapping[str, Tensor]
    divergences: int
    gradients: int
    seconds: float
    compile_seconds: float

    @property
    def largest_r_hat(self) -> float:
        """Over all sites; NaN where a chain stood still."""
        return float(torch.cat([value.flatten() for value in self.r_hat.values()]).max())

    @property
    def smallest_ess(self) -> float:
        """Over all sites."""
        return float(torch.cat([value.flatten() for value in self.ess.values()]).min())

    @property
    def converged(self) -> bool:
        """Whether no R-hat exceeds 1.01 and no transition diverged."""
        worst = self.largest_r_hat
        return isfinite(worst) and worst <= CONVERGED and not self.divergences

    @property
    def doubt(self) -> str | None:
        """Why not to measure a fit by these draws, and what to do; None if they converged."""
        if self.converged:
            return None
        worst = format_r_hat(self.largest_r_hat)
        reason = f"largest R-hat {worst}, which should not exceed {CONVERGED}"
        if self.divergences:
            reason += f"; {self.divergences} divergent transitions"
        return (
            f"The reference has not converged ({reason}): its own means and sds are uncertain. "
            "Draw more, with a longer warm-up, or centre the sites whose data are many (centred=)."
        )

    def moments(self) -> Moments:
        """Means and standard deviations over all chains."""
        flat = {name: value.flatten(0, 1) for name, value in self.draws.items()}
        return Moments(
            mean={name: value.mean(0) for name, value in flat.items()},
            sd={name: value.std(0) for name, value in flat.items()},
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Draw the table: per site its worst R-hat and effective sample size."""
        chains, draws = next(iter(self.draws.values())).shape[:2]
        verdict = "converged" if self.converged else "NOT converged"
        table = Table(
            title=f"NUTS: {chains} chains of {draws:,} draws in {self.seconds:.0f} s, "
            f"{self.divergences} divergences, {verdict}",
            caption=self.doubt,
        )
        for column in ("site", "values", "largest R-hat", "smallest ESS"):
            table.add_column(column, justify="left" if column == "site" else "right")
        for name, value in self.r_hat.items():
            size, least = f"{value.numel():,}", f"{float(self.ess[name].min()):,.0f}"
            table.add_row(name, size, format_r_hat(float(value.max())), least)
        yield table

    def __str__(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        return capture.get()
