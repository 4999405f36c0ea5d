"""Encodings computed from data, with a free residual per ground variable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final

from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.encodings.base import Encoder, Encodings
from pavi.encodings.computed import ComputedEncodings
from pavi.encodings.deep_set import DeepSetEncodings
from pavi.encodings.frames import without_data
from pavi.encodings.free import FreeEncoder
from pavi.encodings.message_passing import MessagePassingEncoder
from pavi.encodings.sweep import Sweep


@final
@dataclass(frozen=True)
class HybridEncodings(Encodings):
    """The sum of an encoding computed from data and a free vector per ground variable.

    The encoder learns from all rows at once, so it comes first; the residuals then take away what
    it cannot say of single rows, the amortization gap. Sites without data on or below their
    plates have free vectors alone.

    Args:
        computed: The encodings computed from data.
        start: The part of a run, from 0 to 1, after which the residuals are trained.

    Raises:
        ValueError: If `start` is not at least 0 and less than 1.
    """

    computed: ComputedEncodings = field(default_factory=DeepSetEncodings)
    start: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.start < 1:
            raise ValueError(f"start must be at least 0 and less than 1, got {self.start}.")

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The length of an encoding."""
        return self.computed.dim

    def build(self, model: HierarchicalModel, cardinalities: Mapping[str, int]) -> HybridEncoder:
        """See `Encodings.build`."""
        bare = without_data(model)
        computed = self.computed.partial(model, [n for n in model.latents if n not in bare])
        plated = [name for name in model.latents if model.sites[name].plates]
        residual = FreeEncoder(model, plated, cardinalities, dim=self.dim)
        return HybridEncoder(computed, residual, start=0.0 if bare else self.start)


@final
class HybridEncoder(Encoder):
    """The module of `HybridEncodings`.

    Args:
        computed: Encodes from data.
        residual: Holds free vectors for all sites on plates.
        start: When the residuals are trained.
    """

    def __init__(
        self, computed: MessagePassingEncoder, residual: FreeEncoder, *, start: float
    ) -> None:
        super().__init__()
        self.computed, self.residual, self._start = computed, residual, start

    def standardise(self, batch: PlateBatch) -> None:
        """See `Encoder`."""
        self.computed.standardise(batch)

    def forward(self, batch: PlateBatch, sweep: Sweep | None = None) -> dict[str, Tensor]:
        """See `Encoder`."""
        found = self.computed(batch, sweep)
        for name, row in self.residual(batch).items():
            found[name] = found[name] + row if name in found else row
        return found

    def start(self, site: str, coordinates: Tensor) -> None:
        """See `Encoder`."""
        holder = self.computed if site in self.computed.free else self.residual
        holder.start(site, coordinates)

    def tables(self) -> dict[str, nn.Parameter]:
        """See `Encoder`."""
        return self.residual.tables()

    def resized(self, rows: Mapping[str, Tensor]) -> HybridEncoder:
        """See `Encoder`."""
        return HybridEncoder(self.computed, self.residual.resized(rows), start=self._start)

    def networks(self) -> list[nn.Parameter]:
        """See `Encoder`."""
        return self.computed.networks()

    @property
    def tables_from(self) -> float:
        """See `Encoder`."""
        return self._start
