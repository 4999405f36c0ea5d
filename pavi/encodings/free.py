"""PAVI-F: encodings that are free parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.zeros import lazy_zeros
from pavi.encodings.base import Encoder, FlexibleEncodings
from pavi.encodings.sweep import Sweep


@final
@dataclass(frozen=True)
class FreeEncodings(FlexibleEncodings):
    """A free vector per ground variable (PAVI-F).

    Args:
        dim: The length of an encoding.

    Raises:
        ValueError: If `dim` is not positive.
    """

    dim: int = 16

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise ValueError(f"the length of an encoding must be positive, got {self.dim}.")

    def build(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        lengths: Mapping[str, int] | None = None,
    ) -> FreeEncoder:
        """See `FlexibleEncodings.build`."""
        return FreeEncoder(model, model.latents, cardinalities, dim=self.dim, lengths=lengths)


@final
class FreeEncoder(Encoder):
    """One table per site, one row per ground variable.

    A look-up of part of a table has a row-sparse gradient, so a step costs what its rows cost.

    Args:
        model: The template.
        latents: The latent sites to encode.
        cardinalities: The number of rows of each plate.
        dim: The length of an encoding.
        lengths: Per site, another length.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        latents: Sequence[str],
        cardinalities: Mapping[str, int],
        *,
        dim: int,
        lengths: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self._plates = {name: model.sites[name].plates for name in latents}
        self._sizes = dict(cardinalities)
        self._tables = nn.ParameterDict()
        for name, plates in self._plates.items():
            rows = prod(cardinalities[plate] for plate in plates)
            zeros = lazy_zeros(
                rows, (lengths or {}).get(name, dim), dtype=torch.get_default_dtype()
            )
            self._tables[name] = nn.Parameter(zeros)

    @classmethod
    def holding(cls, model: HierarchicalModel, encodings: Mapping[str, Tensor]) -> FreeEncoder:
        """An encoder that holds given encodings `(*plates, dim)`, without gradients."""
        sizes = {
            plate: encodings[name].shape[axis]
            for name in model.latents
            for axis, plate in enumerate(model.sites[name].plates)
        }
        encoder = cls(model, model.latents, sizes, dim=0)
        for name, value in encodings.items():
            table = value.detach().reshape(-1, value.shape[-1])
            encoder._tables[name] = nn.Parameter(table, requires_grad=False)
        return encoder

    def table(self, name: str) -> nn.Parameter:
        """The table of a site, `(rows, dim)`."""
        return self._tables[name]

    def encodings(self) -> dict[str, Tensor]:
        """All encodings, `(*plates, dim)`."""
        return {
            name: table.detach().view(*(self._sizes[p] for p in self._plates[name]), -1)
            for name, table in self._tables.items()
        }

    def forward(self, batch: PlateBatch, sweep: Sweep | None = None) -> dict[str, Tensor]:
        """See `Encoder`."""
        return {name: self._look_up(name, plates, batch) for name, plates in self._plates.items()}

    def standardise(self, batch: PlateBatch) -> None:
        """See `Encoder`; free encodings do not look at the data."""

    @torch.no_grad()
    def start(self, site: str, coordinates: Tensor) -> None:
        """See `Encoder`."""
        set_start(self._tables[site], site, coordinates)

    def tables(self) -> dict[str, nn.Parameter]:
        """See `Encoder`."""
        return {name: self._tables[name] for name, plates in self._plates.items() if plates}

    def resized(self, rows: Mapping[str, Tensor]) -> FreeEncoder:
        """See `Encoder`."""
        sizes = {plate: len(numbers) for plate, numbers in rows.items()}
        twin = copy.copy(self)
        twin._parameters, twin._modules = dict(self._parameters), dict(self._modules)
        twin._sizes, twin._tables = sizes, nn.ParameterDict()
        for name, plates in self._plates.items():
            table = self._tables[name]
            if plates:
                index, known = self._row_numbers(plates, rows)
                table = nn.Parameter(torch.where(known.unsqueeze(-1), table[index], 0.0).detach())
            twin._tables[name] = table
        return twin

    def known(self, rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Per site on plates, which rows of its table of other rows are rows here, `(rows,)`."""
        return {n: self._row_numbers(p, rows)[1] for n, p in self._plates.items() if p}

    def _row_numbers(
        self, plates: Sequence[str], rows: Mapping[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Rows of a table here for the ground variables of other rows, and which exist."""
        index = torch.zeros((), dtype=torch.int64)
        known = torch.ones((), dtype=torch.bool)
        for plate in plates:
            index = index.unsqueeze(-1) * self._sizes[plate] + rows[plate].clamp(min=0)
            known = known.unsqueeze(-1) & (rows[plate] >= 0)
        return index.flatten(), known.flatten()

    def networks(self) -> list[nn.Parameter]:
        """See `Encoder`."""
        return []

    def _look_up(self, name: str, plates: Sequence[str], batch: PlateBatch) -> Tensor:
        table = self._tables[name]
        shape = batch.shape(plates)
        if prod(shape) == len(table):  # everything, in order
            return table.view(*shape, -1)
        index = batch.rows[plates[0]]
        for plate in plates[1:]:
            index = index.unsqueeze(-1) * self._sizes[plate] + batch.rows[plate]
        return functional.embedding(index, table, sparse=True)


def set_start(table: Tensor, site: str, coordinates: Tensor) -> None:
    """Set the first coordinates of the rows of a table.

    Raises:
        ValueError: If the rows are shorter.
    """
    size = coordinates.shape[-1]
    if size > table.shape[-1]:
        raise ValueError(
            f"init of site {site!r}: a start of {size} numbers needs encodings as long; their "
            f"dim is {table.shape[-1]}."
        )
    table[..., :size] = coordinates
