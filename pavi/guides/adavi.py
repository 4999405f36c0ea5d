"""ADAVI: automatic dual amortized variational inference."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel
from pavi.encodings import ComputedEncodings, OwnDataEncodings
from pavi.flows import EncodedFlow
from pavi.guides.plate_amortized import PlateAmortizedGuide


def adavi(
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    *,
    encodings: ComputedEncodings | None = None,
    full: bool = True,
    hidden: tuple[int, ...] = (32, 32, 32),
    datasets: str | None = None,
) -> PlateAmortizedGuide:
    r"""A hierarchical encoder and one flow per template site, from standard normal noise.

    .. math::
        E_0 &= X, \qquad E_h = \mathrm{ST}_{h-1}(E_{h-1}) \\
        q(\theta \mid X) &= \prod_i \prod_n q_i\big(\theta_{i,n}; E_{h_i, n}\big), \qquad
            \theta_{i,n} = T_i\big(F_i(\epsilon; E_{h_i, n})\big), \quad \epsilon \sim N(0, I)

    Set transformers pool the data plate by plate; a site is drawn from the encoding of its own
    level, by an affine map after a MAF. Between sites it is mean field: no draw is shown to
    another site. What is maximised is the ordinary ELBO, in the paper over simulated data sets:
    `pavi.amortize(model, sizes, guide=adavi)`.

    What differs from the paper: attention stands beside means and products of the data and
    log-counts, rows hold no layer norm, the affine map starts at the marginal prior, and, on one
    data set, sites without plates have a free encoding.

    Args:
        model: The template; lifted, to train over simulated data sets.
        cardinalities: The number of rows of each plate.
        encodings: Of a row's own data, pooled by set transformers, by default.
        full: Whether the affine map is triangular, or else diagonal.
        hidden: The widths of the hidden layers of the MAF.
        datasets: The plate of data sets, in a lifted model.

    Raises:
        ValueError: As `PlateAmortizedGuide`, or if a latent site has no data below.

    Reference:
        Rouillard and Wassermann (2022), ADAVI: Automatic dual amortized variational inference
        applied to pyramidal Bayesian models, ICLR, equations 1, 2 and 4.
    """
    return PlateAmortizedGuide(
        model,
        cardinalities,
        encodings=encodings or OwnDataEncodings(),
        flow=EncodedFlow(full=full, hidden=hidden),
        dependence="none",
        datasets=datasets,
    )
