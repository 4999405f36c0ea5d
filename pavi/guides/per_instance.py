"""Stochastic variational inference with a flow per ground variable."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings import FreeEncodings
from pavi.flows import AffineFlow, Flow, InstanceFlow
from pavi.guides.plate_amortized import PlateAmortizedGuide


def per_instance(
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    *,
    flow: Flow | None = None,
    dependence: str = "faithful",
) -> PlateAmortizedGuide:
    r"""A flow with weights of its own per ground variable: no plate amortization.

    .. math:: q(\theta) = \prod_i \prod_n F_i\big(\theta_{i,n} \mid \theta_{\mathrm{up}(i),n};\
        \phi_{i,n}\big)

    Where a plate-amortized guide has one :math:`\phi_i` per site and an encoding per ground
    variable, here every ground variable learns all weights by itself. What is maximised is the
    ordinary ELBO, with the same batches and the same gradients.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        flow: The flow of every ground variable; affine by default.
        dependence: What a flow may see, see `PlateAmortizedGuide`. Weights of its own give a flow
            that bends its noise, such as a MAF, a width that is right before the precision is:
            with full batches it followed its parents too closely and their posterior collapsed
            (Gaussian random effects, 30 groups, 1,000 steps: 0.056 nats per latent). Coupled by
            `"parents"` it is exact there; from few groups a step the coupling itself is noise.

    Raises:
        ValueError: As `PlateAmortizedGuide`, or if `flow` has no shared weights.

    Reference:
        Rouillard et al. (2023), PAVI, TMLR, the baseline without plate amortization.
    """
    return PlateAmortizedGuide(
        model,
        cardinalities,
        encodings=FreeEncodings(),
        flow=InstanceFlow(flow or AffineFlow()),
        dependence=dependence,
    )
