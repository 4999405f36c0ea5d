r"""Warm-up: what the first part of a run optimises in place of the ELBO.

.. math:: E_{\epsilon \sim N(0, c^2 I)} \big[\log p(x \mid \theta) + a \log p(\theta)
    - b \log q(\theta)\big]

A run starts at the prior, where one draw of a wide scale can dominate the loss of a step a
thousandfold. A phase sets `a`, `b` and `c` while it lasts; then comes the next, and at last the
ELBO itself, `a = b = c = 1`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Emphasis:
    """The weights of a step.

    Args:
        prior: `a`, of the log prior.
        entropy: `b`, of minus the log density of the guide.
        noise: `c`, the standard deviation of the noise.
    """

    prior: float = 1.0
    entropy: float = 1.0
    noise: float = 1.0


ELBO = Emphasis()


@dataclass(frozen=True)
class Phase(ABC):
    """A part of the warm-up; concrete phases say what a step weighs.

    Args:
        until: The part of the run, from 0 to 1, at which the phase ends.

    Raises:
        ValueError: If `until` is not between 0 and 1.
    """

    until: float

    def __post_init__(self) -> None:
        if not 0 < self.until < 1:
            raise ValueError(
                f"{type(self).__name__}: until is the part of a run, above 0 and below 1, at "
                f"which the phase ends; got {self.until}."
            )

    @abstractmethod
    def emphasis(self, progress: float) -> Emphasis:
        """The weights when a part of the phase, from 0 to 1, has passed."""


@final
@dataclass(frozen=True)
class CoolStart(Phase):
    """The ELBO with noise that grows to its full width.

    Draws start close to the guide's medians, so that the gradient of the first steps says where
    the posterior is, and not which draw was the most unlucky one. It speeds Chem97 up, but is no
    default: on Gaussian random effects with two observations a group one seed in two diverged in
    this phase, where the coefficients that multiply the noise of other sites are hardly held.

    Args:
        noise: The standard deviation of the noise at first.
    """

    until: float = 0.15
    noise: float = 0.3

    def emphasis(self, progress: float) -> Emphasis:
        """See `Phase`."""
        return Emphasis(noise=self.noise + (1 - self.noise) * progress)


@final
@dataclass(frozen=True)
class MAP(Phase):
    """The log joint density at the guide's medians: no noise and no entropy.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, appendix on training.
    """

    def emphasis(self, progress: float) -> Emphasis:
        """See `Phase`."""
        return Emphasis(entropy=0.0, noise=0.0)


@final
@dataclass(frozen=True)
class Unregularised(Phase):
    """The expected log joint density, without the entropy.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, appendix on training.
    """

    def emphasis(self, progress: float) -> Emphasis:
        """See `Phase`."""
        return Emphasis(entropy=0.0)


@final
@dataclass(frozen=True)
class Annealed(Phase):
    """The ELBO with a divergence from the prior that counts more and more, from nothing."""

    def emphasis(self, progress: float) -> Emphasis:
        """See `Phase`."""
        return Emphasis(prior=progress, entropy=progress)


@final
@dataclass(frozen=True)
class WarmUp:
    """The phases of a run, in order.

    Args:
        phases: Each lasts until its own end; after the last one comes the ELBO.

    Raises:
        ValueError: If a phase does not end after the one before.
    """

    phases: Sequence[Phase] = ()

    def __post_init__(self) -> None:
        ends = [phase.until for phase in self.phases]
        if any(later <= earlier for earlier, later in zip(ends, ends[1:], strict=False)):
            raise ValueError(f"each phase must end after the one before; they end at {ends}.")

    def emphasis(self, progress: float) -> Emphasis:
        """The weights when a part of the run, from 0 to 1, has passed."""
        start = 0.0
        for phase in self.phases:
            if progress < phase.until:
                return phase.emphasis((progress - start) / (phase.until - start))
            start = phase.until
        return ELBO
