"""Automatic structured variational inference (ASVI)."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings import FreeEncodings
from pavi.flows import ASVIFlow
from pavi.guides.plate_amortized import PlateAmortizedGuide


def asvi(
    model: HierarchicalModel, cardinalities: Mapping[str, int], *, start: float = 0.5
) -> PlateAmortizedGuide:
    r"""The prior given the parents, each parameter mixed with a free one per ground variable.

    .. math:: q(\theta) = \prod_i \prod_n N\big(\theta_{i,n};\
        \lambda\, \mathrm{loc}_p(\theta_{\mathrm{pa}}) + (1 - \lambda)\, \alpha,\
        \lambda'\, \mathrm{scale}_p(\theta_{\mathrm{pa}}) + (1 - \lambda')\, \alpha'\big)

    in unconstrained space, with :math:`\lambda, \lambda', \alpha, \alpha'` of each ground
    variable; `pavi.flows.asvi` has the details. The original mixes the parameters of the prior's
    own family; the two agree for normal and log-normal priors, and where a family is not one of
    location and scale, the scale of the prior is a constant here. What is maximised is the
    ordinary ELBO, and any batches leave it unbiased.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        start: The gates before training: 0.5 in the original, towards 1 the start is the prior.

    Raises:
        ValueError: As `PlateAmortizedGuide`, or if `start` is not between 0 and 1.

    Reference:
        Ambrogioni et al. (2021), Automatic structured variational inference, AISTATS.
    """
    return PlateAmortizedGuide(
        model,
        cardinalities,
        encodings=FreeEncodings(),
        flow=ASVIFlow(start=start),
        dependence="none",
    )
