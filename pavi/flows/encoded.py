"""A flow that sees nothing but the encoding, as in ADAVI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from pavi.flows.base import Flow
from pavi.flows.gaussian import Gaussian
from pavi.flows.gaussian_head import GaussianHead
from pavi.flows.residual import Residual
from pavi.flows.zuko_import import zuko


@final
@dataclass(frozen=True)
class EncodedFlow(Flow):
    r"""A masked autoregressive flow on standard normal noise, then an affine map.

    .. math:: u = A(E_n)\, \mathrm{MAF}(\epsilon; E_n) + a(E_n), \qquad \epsilon \sim N(0, I)

    Both are computed from the encoding alone: the flow reads neither the prior nor what was drawn
    upstream, so that sites are independent given the encodings. See `pavi.flows.gaussian` for the
    affine map.

    Args:
        full: Whether :math:`A` is triangular, or else diagonal.
        affine_hidden: The width of the hidden layer that computes the affine map.
        transforms: The number of autoregressive layers.
        hidden: The widths of the hidden layers of each.

    Raises:
        ValueError: If a width or a number is not positive.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, equation 2 and appendix F.
    """

    full: bool = True
    affine_hidden: int = 16
    transforms: int = 1
    hidden: tuple[int, ...] = (32, 32, 32)

    def __post_init__(self) -> None:
        if min(self.affine_hidden, self.transforms, *self.hidden, 1) < 1:
            raise ValueError(
                "affine_hidden, transforms and hidden of an encoded flow must be positive, got "
                f"{self.affine_hidden}, {self.transforms} and {self.hidden}."
            )

    @property
    def follows_prior(self) -> bool:
        """See `Flow`."""
        return False

    def build(self, *, dim: int, upstream: int, encoding: int) -> Residual:
        """See `Flow.build`."""
        bend = zuko.flows.MAF(
            dim, encoding, transforms=self.transforms, hidden_features=self.hidden
        )
        head = GaussianHead(
            dim=dim, full=self.full, upstream=0, encoding=encoding, hidden=self.affine_hidden
        )
        affine = Gaussian(dim=dim, full=self.full, head=head)
        return Residual(bend, affine, sees_upstream=False)
