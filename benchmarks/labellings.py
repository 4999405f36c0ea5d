r"""What interchangeable components mean for a bound on the evidence.

Let the joint density stay the same when the components of :math:`\theta` are relabelled by any
permutation :math:`\sigma`, one of :math:`L!`, and let `q` be a guide. The mixture of its copies,

.. math:: \bar q(\theta) = \frac1{L!} \sum_\sigma q(\sigma\theta),

reaches every labelling. Its weights :math:`\bar w = p(x, \theta) / \bar q(\theta)` do not change
with the labelling, so their mean is the same under `q` as under :math:`\bar q`: the evidence. So
draws from `q` do, and with :math:`w = p / q`

.. math:: \log \bar w(\theta) = \log w(\theta) + \log L!
    - \log \sum_\sigma \frac{q(\sigma\theta)}{q(\theta)}.

The sum holds one for the identity. Where `q` covers one labelling only its other terms vanish, and
the bound is that of `q` plus :math:`\log L!`. `overlap` is the mean of the last term under `q`; it
must be near zero for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations

import torch
from torch import Tensor

from pavi import PlateData
from pavi.guides.base import Guide
from pavi.models.network_priors import contrasts

Values = Mapping[str, Tensor]


def relabelled_mixture(values: Values, order: list[int]) -> dict[str, Tensor]:
    """Draws of `gaussian_mixture` with the components in another order."""
    return {
        "mu": values["mu"][..., order, :],
        "mu_g": values["mu_g"][..., order, :],
        "pi": values["pi"][..., order],
    }


def relabelled_parcellation(values: Values, order: list[int]) -> dict[str, Tensor]:
    """Draws of `multi_session_parcellation` with the networks in another order."""
    found = dict(values)
    for name in ("mu", "mu_s", "mu_st"):
        found[name] = values[name][..., order, :]
    for name in ("log_eps", "log_sigma"):
        found[name] = values[name][..., order]
    basis = contrasts(len(order)).to(values["mu"])
    for name in ("eta", "pi"):
        found[name] = values[name] @ basis.T[:, order] @ basis
    return found


RELABELLED: Mapping[str, Callable[[Values, list[int]], dict[str, Tensor]]] = {
    "gm": relabelled_mixture,
    "ms_hbm": relabelled_parcellation,
}


@torch.no_grad()
def overlap(name: str, guide: Guide, data: PlateData, *, labels: int, draws: int = 1000) -> float:
    r"""The mean of :math:`\log \sum_\sigma q(\sigma\theta) / q(\theta)`, in nats.

    Args:
        name: Of the problem.
        guide: The guide.
        data: All data.
        labels: The number of interchangeable components.
        draws: The number of draws.
    """
    batch = data.batch(seed=1)
    drawn = guide(batch, draws=draws)

    def density(values: Values) -> Tensor:
        parts = guide.log_prob(values, batch).values()
        return torch.stack([part.double().reshape(draws, -1).sum(1) for part in parts]).sum(0)

    relabel = RELABELLED[name]
    every = [density(relabel(drawn.values, list(order))) for order in permutations(range(labels))]
    return float((torch.stack(every).logsumexp(0) - every[0]).mean())
