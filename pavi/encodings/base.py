"""What an encoding is: the few numbers that tell one ground variable from its siblings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.encodings.sweep import Sweep


class Encoder(nn.Module, ABC):
    """Encodings of the rows of a batch, per latent site.

    A concrete encoder

    * returns for every latent site a tensor `(*plates, dim)` for the rows of the batch;
    * starts at zero, which the flows read as "no evidence": the guide starts at the prior;
    * costs what the batch costs, whatever the cardinality of the plates.
    """

    @abstractmethod
    def forward(self, batch: PlateBatch, sweep: Sweep | None = None) -> dict[str, Tensor]:
        """The encodings of every latent site.

        Args:
            batch: The rows that take part.
            sweep: Where the batch is a part of the data and the encodings shall be those of all.
        """

    @abstractmethod
    def standardise(self, batch: PlateBatch) -> None:
        """Learn from a batch where the data lie, to standardise what is computed from them."""

    @abstractmethod
    def start(self, site: str, coordinates: Tensor) -> None:
        """Set the first coordinates of all free encodings of a site, `(rows, coordinates)`.

        Raises:
            ValueError: If the site has no free encodings, or these are too short.
        """

    @abstractmethod
    def tables(self) -> dict[str, nn.Parameter]:
        """Per site, a parameter with one row per ground variable, optimised row by row."""

    @abstractmethod
    def resized(self, rows: Mapping[str, Tensor]) -> Encoder:
        """The encoder for other rows; what rows share stays as it is, and shared.

        Args:
            rows: Per plate and row of it, the row here that it is, or -1 for a new one, whose
                free encoding is zero.
        """

    @abstractmethod
    def networks(self) -> list[nn.Parameter]:
        """Parameters of networks that compute encodings."""

    @property
    def tables_from(self) -> float:
        """The part of a run, from 0 to 1, that passes before the tables are trained."""
        return 0.0


class Encodings(ABC):
    """A choice of encodings, before the cardinalities are known; a frozen dataclass."""

    dim: int

    @abstractmethod
    def build(self, model: HierarchicalModel, cardinalities: Mapping[str, int]) -> Encoder:
        """The encoder for a model of these cardinalities."""


class FlexibleEncodings(Encodings):
    """Encodings whose lengths may differ from site to site.

    So they can hold the coefficients of a row, where a flow has no weights that rows share.
    """

    @abstractmethod
    def build(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        lengths: Mapping[str, int] | None = None,
    ) -> Encoder:
        """See `Encodings.build`.

        Args:
            model: The template.
            cardinalities: The number of rows of each plate.
            lengths: Per site, another length than `dim`.
        """
