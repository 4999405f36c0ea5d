"""The network that computes the coefficients of a Gaussian."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn

from pavi.flows.base import FlowContext
from pavi.nn import SkipBlock


@final
class GaussianHead(nn.Module):
    """Computes the coefficients of a Gaussian from an encoding and from upstream values.

    Linear maps and one hidden layer beside them. Coefficients start on coordinates of the encoding
    of their own, as far as there are enough, and do not heed upstream values at first.

    Args:
        dim: The unconstrained dimension of one value.
        full: Whether the dimensions of one value may be correlated.
        upstream: The number of upstream values to read, none of them or all.
        encoding: The length of an encoding.
        hidden: The width of the hidden layer.

    Raises:
        ValueError: If an encoding has no length.
    """

    def __init__(self, *, dim: int, full: bool, upstream: int, encoding: int, hidden: int) -> None:
        super().__init__()
        if encoding < 1:
            raise ValueError(
                "a Gaussian whose coefficients are computed from the encoding needs one; got one "
                f"of length {encoding}, as the flow in an InstanceFlow has. Take AffineFlow()."
            )
        self._reads_upstream = upstream > 0
        outputs = coefficients(dim, full=full)
        self.block = SkipBlock(encoding + upstream, outputs, hidden=hidden, zero=True)
        own = torch.arange(min(outputs, encoding))
        with torch.no_grad():
            self.block.linear.weight[own, own] = 1.0

    def forward(self, context: FlowContext) -> Tensor:
        """The coefficients, with an axis of draws if they depend on upstream values."""
        if not self._reads_upstream:
            return torch.as_tensor(self.block(context.encoding))
        parts = context.encoding, context.upstream
        lead = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
        seen = torch.cat([part.expand(*lead, part.shape[-1]) for part in parts], dim=-1)
        return torch.as_tensor(self.block(seen))


def coefficients(dim: int, *, full: bool) -> int:
    """How many coefficients a Gaussian of `dim` dimensions has here."""
    return 2 * dim + (dim * (dim - 1) // 2 if full else 0)
