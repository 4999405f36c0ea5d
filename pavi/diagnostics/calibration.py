r"""Simulation-based calibration: is the posterior right on average over the model's own data?

Draw latents from the prior, data from the likelihood, and posterior draws given the data. If the
posterior is exact, the true value and the draws have one distribution, so the rank of the true
value among `L` independent draws is uniform on :math:`0, \dots, L`, and a central interval holds
it as often as it says. Too narrow posteriors have ranks at both ends, too wide ones in the
middle, shifted ones at one end.

* Draws of a guide are independent, so they need no thinning. The *rows* of a plate are not: they
  share what lies above them. So the test of uniformity takes one random entry of a site per
  simulation. Its :math:`\chi^2` has :math:`B - 1` degrees of freedom for `B` bins.
* Draws that are picked by their importance weights are close to independent as long as many
  proposals share the weight; `resample` of a posterior says how it draws them.
* Coverage takes all entries. Its standard error is that of the mean over simulations, each of
  which counts as one, whatever the number of its rows.

With several sites some p-value is small by chance: `Calibration.smallest` is the smallest one
times their number (Bonferroni). Calibration is a necessary condition only, and it looks at
marginals: the prior itself passes.

Reference:
    Talts, Betancourt, Simpson, Vehtari and Gelman (2018), Validating Bayesian inference algorithms
    with simulation-based calibration, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, Protocol, final, runtime_checkable

from rich.console import Console, ConsoleOptions
from rich.table import Table
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.core.batch import Links
from pavi.data import PlateData
from pavi.data.simulated import Cardinality
from pavi.diagnostics.rank_figure import rank_figure
from pavi.diagnostics.ranks import Inference, Sampler, random_entries, simulated_ranks
from pavi.diagnostics.site_calibration import SiteCalibration, site_calibration
from pavi.diagnostics.tails import HIGH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVELS = (0.5, 0.9)
# What counts as a failure: a p-value that chance gives once in a hundred, three standard errors.
LEAST_P, MOST_ERRORS = 0.01, 3.0


@runtime_checkable
class Conditioner(Protocol):
    """What has an amortized posterior's `condition`."""

    def condition(self, data: PlateData) -> Sampler:
        """The posterior of a data set, see `pavi.AmortizedPosterior.condition`."""


@final
@dataclass(frozen=True)
class Calibration:
    """Calibration over simulated data sets. Prints as a table.

    Args:
        sites: Per template site.
        simulations: The number of data sets.
        draws: Posterior draws of each.
        levels: Of the central intervals.
        khat: Of the importance weights of every simulation, `(simulations,)`, where draws were
            picked by these; otherwise None.
    """

    sites: Mapping[str, SiteCalibration]
    simulations: int
    draws: int
    levels: tuple[float, ...]
    khat: Tensor | None = None

    @property
    def smallest(self) -> float:
        """The smallest p-value of all sites, corrected for their number."""
        return min(1.0, len(self.sites) * min(site.p_value for site in self.sites.values()))

    def verdict(self, site: str) -> str:
        """What is wrong with a site, in words; `"calibrated"` if nothing is seen."""
        found = self.sites[site]
        low = [level for level in self.levels if found.z(level) < -MOST_ERRORS]
        high = [level for level in self.levels if found.z(level) > MOST_ERRORS]
        if low:
            return "too narrow: intervals hold the truth too rarely"
        if high:
            return "too wide: intervals hold the truth too often"
        if found.p_value < LEAST_P:
            below = float((found.ranks.double() + 0.5).mean() / (self.draws + 1))
            if abs(below - 0.5) > MOST_ERRORS * (12 * self.simulations) ** -0.5:
                return f"shifted: draws are too {'low' if below > 0.5 else 'high'}"
            return "ranks are not uniform"
        return "calibrated"

    def figure(self) -> Figure:
        """Rank histograms with the band that holds 99% of the counts if ranks are uniform.

        Raises:
            ImportError: Without matplotlib, which the extra `plot` brings.
        """
        return rank_figure(
            {f"{name} (p = {s.p_value:.2g})": s.counts for name, s in self.sites.items()}
        )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        """Draw the table, a site a line."""
        table = Table(
            title=f"Calibration over {self.simulations} simulations",
            title_justify="left",
            caption=self._of_weights(),
            caption_justify="left",
        )
        table.add_column("site")
        table.add_column("rank p-value", justify="right")
        for level in self.levels:
            table.add_column(f"in {100 * level:g}% interval", justify="right")
        table.add_column("verdict")
        for name, site in self.sites.items():
            covered = [
                f"{100 * site.coverage[level]:.1f} \N{PLUS-MINUS SIGN} "
                f"{100 * site.standard_error[level]:.1f} %"
                for level in self.levels
            ]
            table.add_row(name, f"{site.p_value:.3f}", *covered, self.verdict(name))
        yield table

    def _of_weights(self) -> str | None:
        if self.khat is None:
            return None
        above = int((self.khat > HIGH).sum())
        return f"draws picked by importance weights; k-hat above {HIGH} in {above}"

    def __str__(self) -> str:
        console = Console(width=110)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def calibration(
    model: HierarchicalModel,
    infer: Conditioner | Inference,
    cardinalities: Mapping[str, Cardinality],
    *,
    simulations: int = 200,
    draws: int = 199,
    bins: int = 10,
    levels: Sequence[float] = LEVELS,
    seed: int = 0,
    covariates: Mapping[str, Tensor] | None = None,
    links: Links | None = None,
    proposals: int | None = None,
    progress: bool = True,
) -> Calibration:
    """Calibrate an inference on data sets drawn from the model.

    Args:
        model: The template.
        infer: An amortized posterior, which is fast, or a function that takes a `PlateData` and
            returns its posterior, such as a fit.
        cardinalities: Per plate its number of rows, or the smallest and the largest one; numbers
            between them are drawn for every simulation.
        simulations: The number of data sets.
        draws: Posterior draws of each; one more must be a multiple of the bins, and the ends of
            all intervals must fall between ranks. 99, 199 and 999 suit the other defaults.
        bins: Of the rank histograms.
        levels: Of the central intervals.
        seed: Of everything that is drawn. Where `infer` was trained on simulations, those of this
            function are others.
        covariates: Of every simulation; standard normal where not given.
        links: Of every simulation; at random where not given.
        proposals: Calibrates what `posterior.resample(proposals=...)` gives in place of
            `posterior.sample`: draws picked from so many of the guide by their importance weights.
        progress: Whether to show a bar.

    Raises:
        ValueError: If a number does not fit, the cardinalities do not fit the model, or there are
            proposals and what `infer` returns cannot resample.

    Example:
        >>> import pavi
        >>> from pavi.diagnostics import calibration
        >>> from pavi.models import gaussian_random_effects
        >>> def infer(data):
        ...     return pavi.fit(model, data, steps=300, progress=False)
        >>> model = gaussian_random_effects()
        >>> calibration(model, infer, {"group": 3, "obs": 2}, simulations=200)  # doctest: +SKIP
    """
    levels = tuple(levels)
    _check(simulations=simulations, draws=draws, bins=bins, levels=levels)
    ranks = simulated_ranks(
        model,
        inference(infer),
        cardinalities,
        numbers=range(simulations),
        draws=draws,
        seed=seed,
        covariates=covariates,
        links=links,
        proposals=proposals,
        progress=progress,
    )
    return Calibration(
        sites={
            site: site_calibration(
                found,
                random_entries(found, seed=seed, number=number),
                draws=draws,
                bins=bins,
                levels=levels,
            )
            for number, (site, found) in enumerate(ranks.sites.items())
        },
        simulations=simulations,
        draws=draws,
        levels=levels,
        khat=ranks.khat,
    )


def inference(infer: Any) -> Inference:
    """The function from data to a posterior that an amortized posterior or a function is.

    Raises:
        ValueError: If it is neither.
    """
    if isinstance(infer, Conditioner):
        return infer.condition
    if not callable(infer):
        raise ValueError(
            "infer must be an AmortizedPosterior or a function from PlateData to a posterior, "
            f"such as `lambda data: pavi.fit(model, data)`; got {type(infer).__name__}."
        )
    function: Inference = infer
    return function


def _check(*, simulations: int, draws: int, bins: int, levels: Sequence[float]) -> None:
    for name, number, least in (("draws", draws, 1), ("bins", bins, 2)):
        if not isinstance(number, Integral) or number < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}.")
    # Below five expected counts in a bin the statistic is not chi-square.
    if not isinstance(simulations, Integral) or simulations < 5 * bins:
        raise ValueError(
            f"simulations must be an integer of at least {5 * bins}, five for each of the {bins} "
            f"bins; got {simulations!r}. Fewer bins need fewer."
        )
    if (draws + 1) % bins:
        raise ValueError(
            f"draws + 1 must be a multiple of the {bins} bins, so that they are equally likely; "
            f"got draws={draws}, try {(draws // bins + 1) * bins - 1}."
        )
    for level in levels:
        ends = (1 - level) / 2 * (draws + 1)
        if not 0 < level < 1 or abs(ends - round(ends)) > 1e-6:
            raise ValueError(
                f"the ends of a central interval of level {level} do not fall between the ranks "
                f"of draws={draws}; choose draws such that (1 - level) / 2 * (draws + 1) is a "
                "whole number, such as 199 for levels in whole percents that are even."
            )
