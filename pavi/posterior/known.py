"""Rows of other data that a guide was fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
import torch
from torch import Tensor

from pavi.data import PlateData
from pavi.guides.base import Draws, Guide


@final
class KnownRows:
    """Draws from a guide for those rows of other data that are rows of its own.

    A ground variable is known if its row of every plate is; one without plates always is.

    Args:
        guide: The guide.
        data: The data that it was fitted to.
        rows: Per plate, for each row of the other data the row of `data`, or -1.
        draws: The number of joint draws.
        seed: Of the noise of a guide that draws all at once.
    """

    def __init__(
        self,
        guide: Guide,
        data: PlateData,
        rows: Mapping[str, np.ndarray],
        *,
        draws: int,
        seed: int,
    ) -> None:
        self._guide, self._data, self._rows, self._draws = guide, data, rows, draws
        self._all = guide(data.batch(seed=seed), draws=draws) if guide.whole else None

    def some(self, site: str) -> bool:
        """Whether a row of a latent site is known."""
        return all((self._rows[p] >= 0).any() for p in self._guide.model.sites[site].plates)

    def every(self, site: str) -> bool:
        """Whether all rows of a latent site are known."""
        return all((self._rows[p] >= 0).all() for p in self._guide.model.sites[site].plates)

    @torch.no_grad()
    def draw(
        self,
        sites: Sequence[str],
        chosen: Mapping[str, np.ndarray],
        *,
        seed: int,
        given: Draws | None = None,
    ) -> Draws:
        """Draw the known ones among chosen rows of the other data.

        Args:
            sites: Latent sites.
            chosen: Per plate, rows of the other data; all of a plate that is not named.
            seed: Of the noise.
            given: Sites drawn before.
        """
        if self._all is not None:
            return self._all
        rows = {plate: self._fitted(plate, chosen) for plate in self._rows}
        plates = {site: self._guide.model.sites[site].plates for site in sites}
        known = [site for site in sites if all(len(rows[plate]) for plate in plates[site])]
        batch = self._data.batch(rows, sites=self._data.covariates, seed=seed)
        return self._guide(batch, draws=self._draws, given=given, sites=known)

    def placed(
        self, site: str, drawn: Draws, chosen: Mapping[str, np.ndarray], unknown: Tensor | None
    ) -> Tensor:
        """A site's value for chosen rows of the other data, `(draws, *plates, *event)`.

        Args:
            site: A latent site, of which some row is known.
            drawn: What `draw` returned for the same rows.
            chosen: The rows.
            unknown: The values of rows that are not known; None where all are.
        """
        spec = self._guide.model.sites[site]
        if not all(len(self._fitted(plate, chosen)) for plate in spec.plates):
            assert unknown is not None  # Of this part no row is known.
            return unknown
        value = drawn.values[site]
        mask = torch.ones((), dtype=torch.bool)
        for axis, plate in enumerate(spec.plates):
            own, fitted = self._own(plate, chosen), self._fitted(plate, chosen)
            # An unknown row gets the place of any known one, which the mask then hides.
            places = torch.as_tensor(np.searchsorted(fitted, own).clip(0))
            value = value.index_select(1 + axis, places)
            mask = mask.unsqueeze(-1) & torch.as_tensor(own >= 0)
        if unknown is None:
            assert bool(mask.all())
            return value
        mask = mask.reshape(mask.shape + (1,) * len(spec.event_shape))
        return torch.where(mask, value, unknown)

    def _own(self, plate: str, chosen: Mapping[str, np.ndarray]) -> np.ndarray:
        return self._rows[plate][chosen[plate]] if plate in chosen else self._rows[plate]

    def _fitted(self, plate: str, chosen: Mapping[str, np.ndarray]) -> np.ndarray:
        """The guide's rows among the chosen ones, ascending: those that a draw holds."""
        if self._all is not None:
            return np.arange(self._data.cardinalities[plate])
        own = self._own(plate, chosen)
        return np.unique(own[own >= 0])
