"""What a guide is: a distribution over the latent sites that follows the model's plates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch


@final
@dataclass(frozen=True)
class Draws:
    """Joint draws of latent sites, with what they contribute to the ELBO.

    Args:
        values: Per site, `(draws, *plates, *event)`.
        log_p: Per site, the prior density given the parents, `(draws, *plates)`.
        log_q: Per site, the guide's density given the sites drawn before, `(draws, *plates)`.
        features: Per site, what the guide hands on to the sites drawn after it.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    log_p: dict[str, Tensor] = field(default_factory=dict)
    log_q: dict[str, Tensor] = field(default_factory=dict)
    features: dict[str, Tensor] = field(default_factory=dict)


class Guide(nn.Module, ABC):
    """A variational family.

    A concrete guide

    * draws the rows of a batch and nothing else; it knows no weight and sums nothing over plates;
    * returns `log_q` with gradients to its parameters, or, with `path`, as a function of the
      drawn values alone: the same numbers, with every parameter held fixed in the density;
    * draws noise from a generator seeded by the batch;
    * takes sites that were drawn before (`given`) as they are and draws the others given them.

    Attributes:
        model: The template.
        bound: What `log_p - log_q` is, summed over everything: the `"ELBO"`, or a lower bound of
            it where the density of the guide is not tractable.
        whole: Whether latents are drawn all at once, so that data cannot be taken part by part.
    """

    model: HierarchicalModel
    bound: ClassVar[str] = "ELBO"
    whole: ClassVar[bool] = False

    @abstractmethod
    def forward(
        self,
        batch: PlateBatch,
        *,
        draws: int,
        path: bool = False,
        antithetic: bool = False,
        noise: float = 1.0,
        given: Draws | None = None,
        sites: Sequence[str] | None = None,
    ) -> Draws:
        """Draw latent sites.

        Args:
            batch: The rows that take part.
            draws: The number of joint draws.
            path: Whether `log_q` holds its parameters fixed, which leaves the path gradient.
            antithetic: Whether the noise of the second half of the draws mirrors the first.
            noise: The standard deviation of the noise; other than one only to warm up.
            given: Sites already drawn, with the same draws, for exactly the rows of the batch.
            sites: The sites to draw, with those they depend on; all latent sites by default.
        """

    @abstractmethod
    def log_prob(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """The log density of given values, per latent site and row, `(draws, *plates)`.

        Args:
            values: Of all latent sites, `(draws, *plates, *event)`.
            batch: The rows that take part.
        """

    @abstractmethod
    def standardise(self, batch: PlateBatch) -> None:
        """Learn from a batch where the data lie, to standardise what is computed from them."""

    @abstractmethod
    def initialise(self, batch: PlateBatch) -> None:
        """Start the sites that have an `init` there; before training.

        Args:
            batch: All data.

        Raises:
            ValueError: If an `init` does not fit its site.
        """

    @abstractmethod
    def tables(self) -> list[nn.Parameter]:
        """Parameters with one row per ground variable, which are optimised row by row."""

    @abstractmethod
    def networks(self) -> list[nn.Parameter]:
        """Parameters of networks that compute encodings, or coefficients of flows."""

    @property
    def tables_from(self) -> float:
        """The part of a run, from 0 to 1, that passes before the tables are trained."""
        return 0.0

    @abstractmethod
    def config(self) -> Mapping[str, object]:
        """Plain values that say how the guide was built, for a saved posterior."""
