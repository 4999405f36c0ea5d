"""Measured values on plates, with the links between the plates' rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, final

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.batch import Links
from pavi.data.arrays import ArraysRead, read_arrays
from pavi.data.batching import plate_batch, values_of
from pavi.data.children import Children
from pavi.data.frame import read_frame
from pavi.data.labels import checked_labels
from pavi.data.stores import Store, StoreSubset
from pavi.data.subset import subset_rows

if TYPE_CHECKING:
    import pandas as pd


@final
@dataclass(frozen=True)
class PlateData:
    """A data set that fits a template model. Build it with `from_arrays` or `from_frame`.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        links: Per indexed plate and plate directly above it, each row's parent, `(rows,)`.
        values: Observed values and covariates, `(*plates, *event)`.
        present: Per observed site with missing values, where there is one, `(*plates,)`.
        labels: Per plate, the user's names of its rows; row numbers where there are none.
        like: A tensor of the floating-point type of the computation.
        stores: Observed values and covariates that stay where they lie and are read batch by
            batch; a site is either here or among `values`.
    """

    model: HierarchicalModel
    cardinalities: Mapping[str, int]
    links: Links
    values: Mapping[str, Tensor]
    present: Mapping[str, Tensor]
    labels: Mapping[str, Sequence[Any]]
    like: Tensor
    stores: Mapping[str, Store] = field(default_factory=dict)
    _children: dict[tuple[str, str], Children] = field(default_factory=dict, repr=False)

    @classmethod
    def from_arrays(
        cls,
        arrays: Mapping[str, Any],
        model: HierarchicalModel,
        *,
        links: Mapping[str, Any] | None = None,
        labels: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
        missing: str = "error",
        dtype: torch.dtype = torch.float32,
        observed: bool = True,
    ) -> PlateData:
        """Data from arrays with plate axes in front.

        Args:
            arrays: Per observed site and covariate, an array `(*plates, *event)`, or a `Store` of
                such values. A store is read batch by batch: its shape is checked here, its values
                are when a batch reads them. They must all be there.
            model: The template.
            links: Per indexed plate, each row's parent as a row number, `(rows,)`; for a plate
                within several, a mapping from each of them to such an array.
            labels: Per plate, names of its rows: texts, numbers, dates, or tuples of these.
            missing: What to do about NaN in observed values: `"error"`, or `"ignore"` to leave
                them out of the likelihood.
            dtype: The floating-point type of the values.
            observed: Whether observed sites have values; `False` is for data to predict, of which
                covariates alone are known. Labels then say how many rows a plate has.

        Raises:
            ValueError: If names, shapes, links or values do not fit the model; the message says
                which, what was expected and what was got.
        """
        labels = labels or {}
        found = read_arrays(
            arrays,
            model,
            links=links or {},
            missing=missing,
            dtype=dtype,
            observed=observed,
            sizes={plate: len(names) for plate, names in labels.items()},
        )
        return cls._of(found, model, labels, dtype)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        model: HierarchicalModel,
        *,
        missing: str = "error",
        dtype: torch.dtype = torch.float32,
        observed: bool = True,
    ) -> PlateData:
        """Data from a long data frame, one row per row of the finest plate.

        A plate's column holds the labels of its rows. The finest plate needs none if every
        row of the frame is a row of it. Labels of a nested plate may repeat in different
        parents; rows are in the order of their labels. A site's column holds its values; on a
        coarser plate they must be constant within each of its rows. The columns of a vector of
        `D` are `name_0` to `name_{D-1}`.

        Args:
            frame: Any frame with `columns` and, per column, `to_numpy()`, as pandas' or polars'.
            model: The template.
            missing: What to do about NaN in observed values: `"error"`, or `"ignore"`. A cell of
                a dense crossing that no row of the frame fills counts as missing.
            dtype: The floating-point type of the values.
            observed: Whether to read the columns of observed sites; `False` is for data to
                predict, which need none.

        Raises:
            ValueError: If this is no frame, a column is missing, there twice or not of numbers, a
                value varies within a group or is missing there, or as `from_arrays`.
        """
        read = read_frame(frame, model, observed=observed)
        found = read_arrays(
            read.arrays,
            model,
            links=read.links,
            missing=missing,
            dtype=dtype,
            observed=observed,
            sizes=read.sizes,
        )
        return cls._of(found, model, read.labels, dtype)

    @classmethod
    def _of(
        cls,
        found: ArraysRead,
        model: HierarchicalModel,
        labels: Mapping[str, Sequence[Any] | np.ndarray],
        dtype: torch.dtype,
    ) -> PlateData:
        return cls(
            model=model,
            cardinalities=found.cardinalities,
            links=found.links,
            values=found.values,
            present=found.present,
            labels=checked_labels(labels, found.cardinalities),
            like=torch.zeros((), dtype=dtype),
            stores=found.stores,
        )

    def __repr__(self) -> str:
        plates = ", ".join(f"{plate} {size:,}" for plate, size in self.cardinalities.items())
        values = ", ".join(
            [*self.values, *(f"{name} in {s!r}" for name, s in self.stores.items())]
        )
        return f"PlateData(plates: {plates or 'none'}; values: {values or 'none'})"

    @property
    def measured(self) -> tuple[str, ...]:
        """The observed sites and covariates that are there, in memory or in a store."""
        return (*self.values, *self.stores)

    @property
    def covariates(self) -> tuple[str, ...]:
        """The covariates that are there; a posterior loaded without data has none."""
        return tuple(name for name in self.model.covariates if name in self.measured)

    def whole(self, site: str) -> Tensor:
        """All values of a site that was measured, `(*plates, *event)`.

        Raises:
            ValueError: If they lie in a store and are too large to be read as a whole.
        """
        return values_of(self, site, {})

    def batch(
        self,
        rows: Mapping[str, np.ndarray] | None = None,
        *,
        weights: Mapping[str, np.ndarray] | None = None,
        sites: Sequence[str] | None = None,
        seed: int = 0,
    ) -> PlateBatch:
        """A plate-batch of chosen rows.

        Args:
            rows: Per plate, ascending row numbers; all rows of a plate that is not named. With a
                row, the rows that it lies within must be there.
            weights: Per plate, one over the inclusion probabilities; one where not named.
            sites: The observed sites and covariates to bring along; all by default.
            seed: Seeds the reparameterisation noise.

        Raises:
            ValueError: If the values that a store would have to read exceed `LARGEST` bytes, or
                are not finite.
        """
        if not rows and not weights and sites is None:
            # Links sorted by parent are kept with the batch, and so from step to step.
            read = {name: values_of(self, name, {}) for name in self.stores}
            return replace(self._everything, values={**self._everything.values, **read}, seed=seed)
        return plate_batch(self, rows or {}, weights=weights or {}, sites=sites, seed=seed)

    @cached_property
    def _everything(self) -> PlateBatch:
        return plate_batch(self, {}, weights={}, sites=tuple(self.values), seed=0)

    def children(self, plate: str, parent: str) -> Children:
        """The rows of `plate` below each row of `parent`, which it lies directly within."""
        key = (plate, parent)
        if key not in self._children:
            links = self.links[plate][parent].numpy()
            self._children[key] = Children.of(links, self.cardinalities[parent])
        return self._children[key]

    def subset(self, **rows: Sequence[int] | np.ndarray) -> PlateData:
        """The data of chosen rows, with all below them and only what they lie within above.

        What lies in a store stays there.

        Args:
            rows: Per plate, row numbers; plates that have nothing to do with these stay whole.

        Raises:
            ValueError: If a plate does not exist, a row is out of range, or two of the plates lie
                within one another.
        """
        chosen = subset_rows(self, rows)
        part = self.batch(chosen, sites=tuple(self.values))
        return PlateData(
            model=self.model,
            cardinalities={plate: len(ids) for plate, ids in part.rows.items()},
            links=part.links,
            values=part.values,
            present=part.present,
            labels={
                plate: [names[row] for row in part.rows[plate].tolist()]
                for plate, names in self.labels.items()
            },
            like=self.like,
            stores={
                name: StoreSubset(store, [chosen.get(p) for p in self.model.sites[name].plates])
                for name, store in self.stores.items()
            },
        )

    def names(self, plate: str) -> list[tuple[Any, ...]] | None:
        """What tells the rows of a plate apart: their labels with those of the rows above them.

        None where a plate has no labels.
        """
        if plate not in self.labels:
            return None
        columns: list[Sequence[Any]] = [self.labels[plate]]
        for parent, links in self.links.get(plate, {}).items():
            if (above := self.names(parent)) is None:
                return None
            columns.append([above[row] for row in links.tolist()])
        return list(zip(*columns, strict=True))

    def rows_in(self, other: PlateData) -> dict[str, Tensor]:
        """Per plate, for each row here the row of `other` of the same name, or -1."""
        found = {}
        for plate, size in self.cardinalities.items():
            ours, theirs = self.names(plate), other.names(plate)
            if ours is None or theirs is None:
                found[plate] = torch.full((size,), -1)
            else:
                where = {name: row for row, name in enumerate(theirs)}
                found[plate] = torch.tensor([where.get(name, -1) for name in ours])
        return found

    def parent_rows(self, fine: str, coarse: str) -> np.ndarray:
        """For each row of `fine`, its row of `coarse`, which it lies within."""
        route = self.model.plates.route(fine, coarse)
        found = np.arange(self.cardinalities[fine])
        for child, parent in zip(route, route[1:], strict=False):
            found = self.links[child][parent].numpy()[found]
        return found

    def numbers(self) -> dict[str, int]:
        """Per plate that lies within no other, how many numbers of one draw hang on it."""
        graph, sites = self.model.plates, self.model.sites.values()
        found = {}
        for plate in graph:
            if not graph.ancestors(plate):
                below = {plate, *graph.descendants(plate)}
                found[plate] = sum(
                    prod(self.cardinalities[p] for p in site.plates) * prod(site.event_shape)
                    for site in sites
                    if below & set(site.plates)
                )
        return found
