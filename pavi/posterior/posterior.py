"""The fitted posterior: draws, summaries, the ELBO, saving and loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, final

import numpy as np
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.diagnostics import DRAWS, INNER, Diagnosis, check
from pavi.guides import PlateAmortizedGuide
from pavi.guides.base import Guide
from pavi.metrics import ELBOEstimate, full_elbo
from pavi.posterior import (
    arviz_export,
    density,
    derived,
    frame,
    prediction,
    resampling,
    zarr_export,
)
from pavi.posterior.checks import check_draws, check_levels, check_observed, latent_sites
from pavi.posterior.coordinates import RowLabels
from pavi.posterior.encode import encode
from pavi.posterior.extension import extended_guide
from pavi.posterior.report import write_report
from pavi.posterior.sampling import sample, sample_rows
from pavi.posterior.storage import read_posterior, write_posterior
from pavi.posterior.summary import LEVELS, Summary, summarise


@final
class Posterior:
    """A guide after training, with the data it was fitted to.

    Args:
        guide: The guide.
        data: The data; without measured values it still samples, but has no ELBO.
        encodings: Of all rows, if known; otherwise a guide that computes them from data does.
        history: The course of the ELBO: lists `steps`, `seconds` and `elbo`.

    Attributes:
        trained: The guide.
        guide: The guide with the encodings of all rows, which draws without looking at data.
    """

    def __init__(
        self,
        guide: Guide,
        data: PlateData,
        *,
        encodings: Mapping[str, Tensor] | None = None,
        history: Mapping[str, Sequence[float | int]] | None = None,
    ) -> None:
        self.trained, self.data = guide.eval(), data
        self.guide: Guide = self.trained
        if isinstance(guide, PlateAmortizedGuide) and guide.amortized:
            self.guide = guide.grounded(encodings or encode(guide.encoder, data))
        self.model = guide.model
        self.history = {key: list(values) for key, values in (history or {}).items()}

    def __repr__(self) -> str:
        return f"Posterior({', '.join(self.model.latents)}\n  of {self.data!r})"

    @cached_property
    def labels(self) -> Mapping[str, np.ndarray]:
        """Per plate, what its rows are called, in the order in which draws have them.

        The labels of the data, or numbers where there are none; those that repeat in different
        parents have the parents' in front, as `a/1`. They are the coordinates of `to_arviz()`.
        """
        return RowLabels(self.data)

    def sample(
        self,
        *sites: str,
        draws: int = 1000,
        seed: int = 0,
        **rows: Sequence[int] | np.ndarray,
    ) -> Any:
        """Joint draws of latent sites.

        Args:
            sites: The sites; all of them by default.
            draws: The number of draws.
            seed: The same seed gives the same draws.
            rows: Per plate, the row numbers to draw, in any order; all rows by default. What the
                rows are called, in the order of their numbers, is in `labels`.

        Returns:
            A tensor `(draws, *plates, *event)` for one named site, otherwise a dict of these.

        Raises:
            ValueError: If a site or plate does not exist, a row is out of range, there are no
                draws, or the prior of a drawn site needs a covariate that the posterior was loaded
                without.

        Example:
            `posterior.sample("school_effect", school=[3, 17])` are draws of the schools
            `posterior.labels["school"][[3, 17]]`.
        """
        wanted = latent_sites(self.guide, self.data, sites)
        check_draws(draws)
        if rows:
            values = sample_rows(self.guide, self.data, wanted, rows, draws=draws, seed=seed)
        else:
            values = sample(self.guide, self.data, wanted, draws=draws, seed=seed)
        return values[sites[0]] if len(sites) == 1 else values

    def summary(
        self,
        *sites: str,
        draws: int = 1000,
        seed: int = 0,
        levels: tuple[float, ...] = LEVELS,
        progress: bool = False,
    ) -> Summary:
        """Means, standard deviations and quantiles, plate chunk by plate chunk.

        Args:
            sites: The sites; all of them by default.
            draws: The number of draws they are computed from, at least two.
            seed: Of the draws.
            levels: The quantile levels.
            progress: Whether to show a bar.

        Raises:
            ValueError: As `sample`, or if a level lies outside of [0, 1].
        """
        wanted = latent_sites(self.guide, self.data, sites)
        check_draws(draws, least=2)
        check_levels(levels)
        return summarise(
            self.guide,
            self.data,
            wanted,
            draws=draws,
            seed=seed,
            levels=levels,
            progress=progress,
        )

    # Functions of a posterior, each in a file of its own.
    log_prob = density.log_prob
    predict = prediction.predict
    map = derived.derive
    resample = resampling.resample
    to_frame = frame.to_frame
    to_arviz = arviz_export.to_arviz
    to_zarr = zarr_export.to_zarr

    def elbo(self, *, draws: int = 128, seed: int = 0, progress: bool = False) -> ELBOEstimate:
        """The ELBO on all data, with its standard error over draws.

        Raises:
            ValueError: If the posterior was loaded without data, or there are no draws.
        """
        check_draws(draws)
        check_observed(self.data, "the ELBO")
        return full_elbo(self.guide, self.data, draws=draws, seed=seed, progress=progress)

    def check(
        self, *, draws: int = DRAWS, inner: int = INNER, seed: int = 0, progress: bool = False
    ) -> Diagnosis:
        """Whether this posterior can be trusted, with verdicts in words; prints as a table.

        The ELBO and the end of its course, the Pareto k-hat of the globals, and that of every row
        of every level given all above it; see `pavi.diagnostics`.

        Args:
            draws: Of the globals, and of each row: a multiple of five, 200 or more.
            inner: For each of these, draws of a level below, to integrate it: even, four or more.
            seed: Of the draws.
            progress: Whether to show bars.

        Raises:
            ValueError: If the posterior was loaded without data, or a number does not fit.
        """
        return check(
            self.guide,
            self.data,
            history=self.history,
            draws=draws,
            inner=inner,
            seed=seed,
            progress=progress,
        )

    def extend(
        self,
        data: PlateData,
        *,
        new: Sequence[str] | None = None,
        batch: Mapping[str, int] | None = None,
        steps: int = 300,
        seed: int = 0,
        progress: bool = False,
    ) -> Posterior:
        """The posterior of other data of the same model, with all that groups share kept.

        Groups are recognised by their labels, nested ones by those above them too. Encodings that
        are computed from data are computed for all rows of `data` in one pass, so give it the
        known groups as well where new rows lie within them. Free encodings of known rows stay,
        those of new rows are fitted.

        Args:
            data: The data.
            new: The plates that may have rows with unseen labels; all of them by default.
            batch: Rows to draw per plate and step in fitting, see `pavi.fit`.
            steps: The number of steps to fit free encodings of new rows.
            seed: Of the batches and the noise of these steps.
            progress: Whether to show a bar.

        Raises:
            ValueError: If the data are no `PlateData` of the same model or hold no observed
                values, a plate that is not in `new` has unseen rows, or the guide is a baseline
                that draws all latents of the fitted data at once.
        """
        if not isinstance(self.trained, PlateAmortizedGuide):
            raise ValueError(
                f"only a PlateAmortizedGuide can be extended; this posterior has a "
                f"{type(self.trained).__name__}, whose latents are of the fitted data alone. Fit "
                "the new data, or draw unmeasured groups with predict(data=...)."
            )
        guide = extended_guide(
            self.trained,
            self.data,
            data,
            new=new,
            batch=batch,
            steps=steps,
            seed=seed,
            progress=progress,
        )
        return Posterior(guide, data)

    def report(
        self,
        path: Path | str,
        *,
        title: str = "Posterior report",
        draws: int = 1000,
        seed: int = 0,
        provenance: Mapping[str, str] | None = None,
        check: bool = True,
        progress: bool = False,
    ) -> None:
        """Write one HTML file that tells the fit; it needs no network and nothing beside it.

        The model, the data, the course of the ELBO, tables and figures of the posterior,
        predictive checks, the verdicts of `check` and the provenance. Parts that need measured
        values are left out of the report of a posterior that was loaded without them.

        Args:
            path: The file, which ends in `.html`; one that is there is replaced.
            title: The heading.
            draws: The number of draws that tables and figures are computed from.
            seed: Of these draws.
            provenance: Further lines about where the fit comes from, by name.
            check: Whether to diagnose the fit too, which takes longest; by as many draws as
                `check` takes by default, whatever `draws` is, so that both say the same.
            progress: Whether to show a bar.

        Raises:
            ValueError: If the file cannot be written, or as `summary`.
            ImportError: Without matplotlib, which the extra `plot` brings.
        """
        write_report(
            self,
            Path(path),
            title=title,
            draws=draws,
            seed=seed,
            provenance=provenance or {},
            check=check,
            progress=progress,
        )

    def save(self, path: Path | str) -> None:
        """Write the posterior to a folder, as safetensors and JSON; all of it or nothing.

        Raises:
            ValueError: If `path` exists and is not a saved posterior.
        """
        held = None
        if isinstance(self.guide, PlateAmortizedGuide) and self.guide is not self.trained:
            held = self.guide.encodings()
        write_posterior(
            Path(path),
            guide=self.trained,
            data=self.data,
            encodings=held,
            history=self.history,
        )

    @classmethod
    def load(
        cls, path: Path | str, model: HierarchicalModel, *, data: PlateData | None = None
    ) -> Posterior:
        """Read a posterior; nothing is unpickled.

        Args:
            path: The folder.
            model: The template that it was fitted with: its conditionals are code, and not saved.
            data: The data, for the ELBO and for priors that depend on covariates.

        Raises:
            ValueError: If the folder cannot be read, or the model or data differ from those that
                the posterior was fitted with.
        """
        saved = read_posterior(Path(path), model, data)
        return cls(saved.guide, saved.data, encodings=saved.encodings, history=saved.history)
