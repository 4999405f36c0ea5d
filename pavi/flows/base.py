"""What a conditional flow is, and what it may see."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor, nn


@final
@dataclass(frozen=True)
class FlowContext:
    """What the flow of a site sees of one row.

    Args:
        encoding: The row's encoding; zero means "no evidence", `(*plates, encoding)`.
        upstream: Standardised values of the sites drawn before, `(draws, *plates, upstream)`;
            axes may have length one.
        location: Of the prior given the parents, unconstrained, `(draws, *plates, dim)`.
        scale: Of that prior, the same shape.
        relative_scale: `scale` over its typical value in the prior, the same shape; None where
            the scale is a constant.
    """

    encoding: Float[Tensor, "*plates encoding"]
    upstream: Tensor
    location: Tensor
    scale: Tensor
    relative_scale: Tensor | None

    def detached(self, upstream: Tensor) -> FlowContext:
        """The same context for a fixed encoding, with another path to the upstream values."""
        return replace(self, encoding=self.encoding.detach(), upstream=upstream)


class ConditionalFlow(nn.Module, ABC):
    r"""An invertible map of noise to the unconstrained values of a site, one per row.

    A concrete flow

    * maps standard normal noise `(draws, *plates, dim)` forward to values of the same shape, and
      returns :math:`\log |\det \partial\, \mathrm{value} / \partial\, \mathrm{noise}|`,
      `(draws, *plates)`;
    * inverts that map exactly, with the log-determinant of the *forward* map;
    * is its `start` at a zero encoding, `value = location + scale * noise`: the prior given the
      parents, unless the flow says otherwise;
    * before training moves its location by the typical scale times the first `dim` coordinates of
      an encoding;
    * keeps gradients of value and log-determinant with respect to all of the context it reads.
    """

    @abstractmethod
    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """Values and log-determinant."""

    @abstractmethod
    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """Noise and the log-determinant of the forward map at that noise."""

    def start(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        """The location and scale of the value at a zero encoding; they broadcast to the value."""
        return context.location, context.scale

    def networks(self) -> list[nn.Parameter]:
        """Parameters of networks that compute coefficients of the map; their rate is their own."""
        return []

    def keep_apart(self) -> None:
        """Let a coefficient learn from no coordinate of the encoding but the one it starts on.

        For a site with one ground variable, which has nothing to share. A precision travels far
        on its coordinate, and every coefficient that learns from it moves that many times faster:
        the location of a well-determined parameter is then thrown about by a step of its weight.
        """

    @abstractmethod
    def reference(self) -> tuple[Tensor, Tensor]:
        """The typical location and scale of the site's prior, `(dim,)` each."""

    @abstractmethod
    def set_reference(self, location: Tensor, scale: Tensor) -> None:
        """Fix the typical location and scale of the site's prior, `(dim,)` each."""


class ReferencedFlow(ConditionalFlow, ABC):
    """A conditional flow that holds its reference itself, as buffers; zero and one at first.

    Args:
        dim: The unconstrained dimension of one value.
    """

    location: Tensor
    scale: Tensor

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.register_buffer("location", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))

    def reference(self) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self.location, self.scale

    def set_reference(self, location: Tensor, scale: Tensor) -> None:
        """See `ConditionalFlow`."""
        self.location.copy_(location)
        self.scale.copy_(scale)


class Flow(ABC):
    """A choice of flow, before the dimensions of a site are known; a frozen dataclass."""

    @abstractmethod
    def build(self, *, dim: int, upstream: int, encoding: int) -> ConditionalFlow:
        """The flow of a site.

        Args:
            dim: The unconstrained dimension of one value.
            upstream: The number of upstream values in its context.
            encoding: The length of an encoding.
        """

    def encoding_dim(self, *, dim: int, upstream: int) -> int | None:
        """The length an encoding must have, where it holds the coefficients of its row.

        Such encodings are free parameters. None where any length and any encoder will do.

        Args:
            dim: The unconstrained dimension of one value.
            upstream: The number of upstream values in the context.
        """
        return None

    @property
    def follows_prior(self) -> bool:
        """Whether the flow reads the prior given the parents, its location and its scale.

        If not, its reference is the marginal prior: the typical scale given the parents may be far
        less than the distance to travel, which a flow that follows the parents is carried along.
        """
        return True

    @property
    def correlates(self) -> bool:
        """Whether the dimensions of one value are to be correlated given what was drawn before.

        Each of them then depends on the prior of all others, which a flow reads for its own
        dimension alone: it is coupled to the parents even where it follows the prior.
        """
        return False
