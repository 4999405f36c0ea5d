"""The flow of a branch: a Gaussian of a local given its data and what was drawn above it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pavi.flows.base import Flow
from pavi.flows.gaussian import Gaussian
from pavi.flows.gaussian_head import GaussianHead


@final
@dataclass(frozen=True)
class BranchFlow(Flow):
    r"""A Gaussian whose location and covariance a network computes from encoding and upstream.

    .. math:: q(z_n \mid \theta, E_n) = N\big(\mu(E_n, \theta),\ \Sigma(E_n, \theta)\big)

    Linear maps with one hidden layer beside them; it does not follow the prior, see
    `pavi.flows.gaussian`.

    Args:
        full: Whether the dimensions of one value may be correlated.
        hidden: The width of the hidden layer.

    Raises:
        ValueError: If `hidden` is not positive.

    Reference:
        Agrawal and Domke (2021), Amortized variational inference for simple hierarchical models,
        section 4.
    """

    full: bool = True
    hidden: int = 16

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"hidden of a branch must be positive, got {self.hidden}.")

    @property
    def follows_prior(self) -> bool:
        """See `Flow`."""
        return False

    def build(self, *, dim: int, upstream: int, encoding: int) -> Gaussian:
        """See `Flow.build`."""
        head = GaussianHead(
            dim=dim, full=self.full, upstream=upstream, encoding=encoding, hidden=self.hidden
        )
        return Gaussian(dim=dim, full=self.full, head=head)
