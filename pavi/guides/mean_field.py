"""Mean-field variational inference (MF-VI)."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings import FreeEncodings
from pavi.flows import GaussianFlow
from pavi.guides.plate_amortized import PlateAmortizedGuide


def mean_field(
    model: HierarchicalModel, cardinalities: Mapping[str, int], *, full: bool = False
) -> PlateAmortizedGuide:
    r"""A Gaussian per ground variable, independent of all others.

    .. math:: q(\theta) = \prod_i \prod_n N\big(T_i^{-1}(\theta_{i,n});\
        m_{i,n}, \mathrm{diag}\, s_{i,n}^2\big)\; \big|\det \partial T_i^{-1}\big|

    with the map :math:`T_i` from unconstrained space and free location and scale per ground
    variable. It starts at the marginal prior. What is maximised is the ordinary ELBO, and any
    batches leave it unbiased. What a posterior ties together, it draws apart: scales come out too
    small, the more so the less the data say of a group.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        full: Whether the dimensions of one value may be correlated.

    Raises:
        ValueError: As `PlateAmortizedGuide`.

    Reference:
        Kucukelbir et al. (2017), Automatic differentiation variational inference, section 2.4.
    """
    return PlateAmortizedGuide(
        model,
        cardinalities,
        encodings=FreeEncodings(),
        flow=GaussianFlow(full=full),
        dependence="none",
    )
