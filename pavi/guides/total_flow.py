r"""One flow over all latents (total latent space flow, TLSF).

.. math:: z = F_\phi(\epsilon), \quad \epsilon \sim N(0, I_D), \qquad
    \log q(z) = \log N(\epsilon; 0, I) - \log |\det F_\phi'(\epsilon)|

It knows nothing of the model: dependence between sites and rows, and likeness of rows, are left to
the flow, whose weights grow with at least the square of the number of latents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import unvalidated
from pavi.flows import AffineFlow, Flow, FlowContext
from pavi.flows.affine import standard_normal_log_prob
from pavi.guides.base import Draws, Guide
from pavi.guides.completeness import all_given, check_whole
from pavi.guides.frozen import frozen
from pavi.guides.latent_vector import LatentVector
from pavi.guides.noise import gaussian_noise, seeded
from pavi.guides.plain import plain


@final
class TotalFlowGuide(Guide):
    """A flow over the whole vector of latents; for small models and full batches.

    It starts with independent latents at the medians and spreads of the prior. The joint density
    is spread over the sites, see `pavi.guides.latent_vector`: only its sum means something.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        flow: The flow; by default affine with a full triangular matrix.

    Raises:
        ValueError: If a plate has no cardinality, or another name has one; in a step, if a batch
            does not hold all rows.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, which calls it TLSF.
    """

    whole: ClassVar[bool] = True

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        flow: Flow | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._cardinalities = dict(cardinalities)
        self._choice = flow or AffineFlow(full=True)
        self.latents = LatentVector(model, cardinalities)
        self.flow = self._choice.build(dim=self.latents.dim, upstream=0, encoding=1)
        self.flow.set_reference(self.latents.location, self.latents.scale)

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
        """See `Guide`; all sites are drawn whatever `sites` says.

        Raises:
            ValueError: If the batch does not hold all rows, or some sites are given and not all.
        """
        check_whole(batch, self._cardinalities, guide="TotalFlowGuide")
        if (drawn_before := all_given(given, self.model)) is not None:
            return drawn_before
        base = gaussian_noise(
            draws,
            (self.latents.dim,),
            batch.like,
            seeded(batch),
            antithetic=antithetic,
            width=noise,
        )
        context = self._context()
        vector, log_det = self.flow(base, context)
        if path:
            with frozen(self.flow):
                base, log_det = self.flow.inverse(vector, context)
        with unvalidated():
            drawn = self.latents.values(vector, batch)
        joint = standard_normal_log_prob(base) - log_det
        log_q = self.latents.spread(joint, drawn.log_q)
        return dataclasses.replace(drawn, log_q=log_q)

    def log_prob(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """See `Guide`; spread over the sites, only the sum means something.

        Raises:
            ValueError: If the batch does not hold all rows.
        """
        check_whole(batch, self._cardinalities, guide="TotalFlowGuide")
        with unvalidated():
            vector, minus = self.latents.vector(values, batch)
        base, log_det = self.flow.inverse(vector, self._context())
        return self.latents.spread(standard_normal_log_prob(base) - log_det, minus)

    def standardise(self, batch: PlateBatch) -> None:
        """See `Guide`; the flow does not look at the data."""

    def initialise(self, batch: PlateBatch) -> None:
        """See `Guide`."""
        self.latents.start(batch)
        self.flow.set_reference(self.latents.location, self.latents.scale)

    def tables(self) -> list[nn.Parameter]:
        """See `Guide`; no parameter belongs to one ground variable."""
        return []

    def networks(self) -> list[nn.Parameter]:
        """See `Guide`."""
        return self.flow.networks()

    def config(self) -> Mapping[str, object]:
        """See `Guide`."""
        return {"kind": type(self).__name__, "flow": plain(self._choice)}

    def _context(self) -> FlowContext:
        location, scale = self.flow.reference()
        # No row has an encoding; the flow's own biases hold what it learns.
        nothing = location.new_zeros(1)
        return FlowContext(nothing, nothing[:0], location, scale, None)
