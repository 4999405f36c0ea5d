"""Branch amortization (Agrawal and Domke, 2021)."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings import ComputedEncodings, DeepSetEncodings
from pavi.flows import BranchFlow
from pavi.guides.plate_amortized import PlateAmortizedGuide


def branch(
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    *,
    encodings: ComputedEncodings | None = None,
    hidden: int = 16,
    full: bool = True,
    datasets: str | None = None,
) -> PlateAmortizedGuide:
    r"""A Gaussian of each local, computed from its branch of the data and the drawn globals.

    .. math:: q(\theta, z) = q(\theta) \prod_n N\big(z_n;\
        \mu(\theta, E_n), \Sigma(\theta, E_n)\big), \qquad E_n = \mathrm{pool}(x_n)

    Networks for :math:`\mu, \Sigma` are shared by all branches; one more pools the data of a
    branch. Globals have a Gaussian each, given the globals before, so that they are jointly
    Gaussian up to what the hidden layer bends. What is maximised is the ordinary ELBO; as with all
    encodings computed from data it is unbiased over batches that hold whole branches.

    What differs from the paper: with more than two levels a local sees all that lies upstream of
    it, and its encoding tells of the levels above as well (in a lifted model that is where it
    learns of the location of globals, whose noise alone is handed on); globals are handed on as
    their standardised noise.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        encodings: What pools the data of a branch; deep sets of one round by default.
        hidden: The width of the hidden layers of :math:`\mu, \Sigma`.
        full: Whether the dimensions of one value may be correlated.
        datasets: The plate of data sets, in a lifted model.

    Raises:
        ValueError: As `PlateAmortizedGuide`, or if a latent site has no data below.

    Reference:
        Agrawal and Domke (2021), Amortized variational inference for simple hierarchical models,
        NeurIPS, section 4.
    """
    return PlateAmortizedGuide(
        model,
        cardinalities,
        encodings=encodings or DeepSetEncodings(rounds=1),
        flow=BranchFlow(full=full, hidden=hidden),
        dependence="faithful",
        datasets=datasets,
    )
