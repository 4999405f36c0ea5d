"""The fitted posterior: draws, summaries, the ELBO, saving and loading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides import PlateAmortizedGuide
from pavi.guides.base import Draws, Guide
from pavi.metrics import ELBOEstimate, full_elbo
from pavi.metrics.log_ratio import draw_fixed
from pavi.posterior.checks import check_covariates, check_draws, check_levels, row_numbers
from pavi.posterior.encode import encode
from pavi.posterior.extension import extended_guide
from pavi.posterior.report import write_report
from pavi.posterior.storage import read_posterior, write_posterior
from pavi.posterior.summary import Summary

LEVELS = (0.05, 0.5, 0.95)


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

    @torch.no_grad()
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
            rows: Per plate, the row numbers to draw, in any order; all rows by default. The labels
                of a plate's rows, in the order of their numbers, are in `data.labels`.

        Returns:
            A tensor `(draws, *plates, *event)` for one named site, otherwise a dict of these.

        Raises:
            ValueError: If a site or plate does not exist, a row is out of range, there are no
                draws, or the prior of a drawn site needs a covariate that the posterior was loaded
                without.

        Example:
            `posterior.sample("school_effect", school=[3, 17])`
        """
        wanted = self._wanted(sites)
        check_draws(draws)
        if rows:
            values = self._sample_rows(wanted, rows, draws=draws, seed=seed)
        else:
            values = self._sample_all(wanted, draws=draws, seed=seed)
        return values[sites[0]] if len(sites) == 1 else values

    @torch.no_grad()
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
        wanted = self._wanted(sites)
        check_draws(draws, least=2)
        check_levels(levels)
        chunks = Chunks(self.data, draws=draws)
        found: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {site: [] for site in wanted}
        for drawn in self._chunks(chunks, wanted, draws=draws, seed=seed, progress=progress):
            for site in wanted:
                if site in chunks.fixed and found[site]:
                    continue
                value = drawn.values[site]
                levels_tensor = torch.tensor(levels, dtype=value.dtype, device=value.device)
                quantiles = torch.quantile(value, levels_tensor, dim=0)
                found[site].append((value.mean(0).cpu(), value.std(0).cpu(), quantiles.cpu()))

        def joined(part: int) -> dict[str, Tensor]:
            # Quantiles have an axis of levels in front.
            return {
                site: chunks.join(site, [parts[part] for parts in chunked], lead=int(part == 2))
                for site, chunked in found.items()
            }

        plates = {site: self.model.sites[site].plates for site in wanted}
        return Summary(joined(0), joined(1), joined(2), levels, plates, self.data.labels)

    def elbo(self, *, draws: int = 128, seed: int = 0, progress: bool = False) -> ELBOEstimate:
        """The ELBO on all data, with its standard error over draws.

        Raises:
            ValueError: If the posterior was loaded without data, or there are no draws.
        """
        check_draws(draws)
        if absent := [site for site in self.model.observed if site not in self.data.values]:
            raise ValueError(
                f"the ELBO needs the observed values of {absent}; "
                "load the posterior with Posterior.load(path, model, data=...)."
            )
        return full_elbo(self.guide, self.data, draws=draws, seed=seed, progress=progress)

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
            ValueError: If the data belong to another model, or a plate that is not in `new` has
                unseen rows.
        """
        assert isinstance(self.trained, PlateAmortizedGuide)
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
        progress: bool = False,
    ) -> None:
        """Write one HTML file that tells the fit; it needs no network and nothing beside it.

        The model, the data, the course of the ELBO, tables and figures of the posterior,
        predictive checks and the provenance. Parts that need measured values are left out of the
        report of a posterior that was loaded without them.

        Args:
            path: The file, which ends in `.html`; one that is there is replaced.
            title: The heading.
            draws: The number of draws that tables and figures are computed from.
            seed: Of these draws.
            provenance: Further lines about where the fit comes from, by name.
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

    def _wanted(self, sites: Sequence[str]) -> Sequence[str]:
        """The sites to draw, seen to exist and to have the covariates that their priors need."""
        wanted = sites or self.model.latents
        if unknown := [site for site in wanted if site not in self.model.latents]:
            raise ValueError(
                f"{unknown[0]!r} is not a latent site; these are {list(self.model.latents)}."
            )
        check_covariates(self.guide, self.data, wanted)
        return wanted

    def _sample_all(self, wanted: Sequence[str], *, draws: int, seed: int) -> dict[str, Tensor]:
        chunks = Chunks(self.data, draws=draws)
        parts: dict[str, list[Tensor]] = {site: [] for site in wanted}
        for drawn in self._chunks(chunks, wanted, draws=draws, seed=seed, progress=False):
            for site in wanted:
                if not (site in chunks.fixed and parts[site]):
                    parts[site].append(drawn.values[site])
        return {site: chunks.join(site, values, lead=1) for site, values in parts.items()}

    def _chunks(
        self, chunks: Chunks, wanted: Sequence[str], *, draws: int, seed: int, progress: bool
    ) -> Any:
        fixed = draw_fixed(self.guide, self.data, chunks, draws=draws, seed=seed)
        batches = chunks.batches(seed=seed, observed=False)
        for batch in track(batches, "posterior", total=len(chunks), disable=not progress):
            yield self.guide(batch, draws=draws, given=fixed, sites=wanted)

    def _sample_rows(
        self,
        wanted: Sequence[str],
        rows: Mapping[str, Sequence[int] | np.ndarray],
        *,
        draws: int,
        seed: int,
    ) -> dict[str, Tensor]:
        graph, sizes = self.model.plates, self.data.cardinalities
        chosen: dict[str, np.ndarray] = {}
        for plate, numbers in rows.items():
            if plate not in graph:
                raise ValueError(f"{plate!r} is not a plate; plates are {list(graph)}.")
            array = row_numbers(
                plate, numbers, size=sizes[plate], labelled=plate in self.data.labels
            )
            related = graph.ancestors(plate) | graph.descendants(plate)
            if clash := sorted(related & set(rows)):
                raise ValueError(
                    f"plates {plate!r} and {clash[0]!r} lie within one another; name one of them."
                )
            chosen[plate] = array
        drawn: Draws
        if self.guide.whole:
            drawn, places = self.guide(self.data.batch(seed=seed), draws=draws), chosen
        else:
            batch_rows = self._closed(chosen)
            batch = self.data.batch(batch_rows, sites=self.data.covariates, seed=seed)
            drawn = self.guide(batch, draws=draws, sites=wanted)
            places = {
                plate: np.searchsorted(batch_rows[plate], numbers)
                for plate, numbers in chosen.items()
            }
        values = {}
        for site in wanted:
            value = drawn.values[site]
            for axis, plate in enumerate(self.model.sites[site].plates):
                if plate in places:
                    value = value.index_select(1 + axis, torch.as_tensor(places[plate]))
            values[site] = value
        return values

    def _closed(self, chosen: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The chosen rows, ascending, with those they lie within and nothing below them."""
        graph = self.model.plates
        rows = {plate: np.unique(numbers) for plate, numbers in chosen.items()}
        for plate in chosen:
            for above in graph.ancestors(plate):
                reached = np.unique(self.data.parent_rows(plate, above)[rows[plate]])
                rows[above] = np.union1d(rows[above], reached) if above in rows else reached
        for plate in graph:
            if plate not in rows and graph.ancestors(plate) & set(rows):
                rows[plate] = np.empty(0, dtype=np.int64)
        return rows
