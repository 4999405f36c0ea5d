r"""Parcellation of a population's cortices over several sessions (MS-HBM).

A label distribution has `L - 1` free numbers `z` and the logits :math:`V z`, where the columns of
:math:`V` are an orthonormal basis of the vectors of :math:`R^L` that sum to zero. The logits of a
standard normal `z` have the covariance :math:`V V^\top = I - 1 1^\top / L`, which no relabelling
changes: the prior treats all networks alike. With one logit fixed to zero it would not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from pavi.core import HierarchicalModel, Latent, Observed, Plate


def multi_session_parcellation(
    *,
    networks: int = 2,
    dim: int = 3,
    log_scale: tuple[float, float] = (-1.0, 1.0),
    group_logits: float = 1.0,
    subject_logits: float = 1.0,
) -> HierarchicalModel:
    r"""Networks with connectivity fingerprints, and label distributions over them.

    .. math::
        \mu_l &\sim N(0, I), \quad
            \log\epsilon_l, \log\sigma_l, \log\kappa \sim N(\mathrm{log\_scale}) \\
        \mu_{sl} &\sim N(\mu_l, \epsilon_l^2 I), \quad
            \mu_{stl} \sim N(\mu_{sl}, \sigma_l^2 I) \\
        \eta_n &\sim N(0, s_\eta^2 I), \quad \pi_{sn} \sim N(\eta_n, \rho^2 I) \\
        x_{stn} &\sim \textstyle\sum_l \mathrm{softmax}(V \pi_{sn})_l\, N(\mu_{stl}, \kappa^2 I)

    Sites: `mu (networks, dim)`, `log_eps (networks,)`, `log_sigma (networks,)`, `log_kappa ()`,
    `mu_s (subject, networks, dim)`, `mu_st (subject, session, networks, dim)`,
    `eta (vertex, networks - 1)`, `pi (subject, vertex, networks - 1)`, observed
    `x (subject, session, vertex, dim)`. Plates: `subject`, `session`, `vertex`.

    Labels are summed out, session by session: all sessions of a subject share the label
    distribution, which is what is asked for, and given it their factors are independent, as those
    of a plate must be. `label_probabilities` turns `pi` or `eta` into probabilities. The posterior
    does not change if the networks are relabelled everywhere at once.

    Args:
        networks: The number of networks :math:`L`.
        dim: The dimension of a fingerprint.
        log_scale: Mean and standard deviation of the prior of the three log scales.
        group_logits: The standard deviation of a vertex' group logits, :math:`s_\eta`.
        subject_logits: That of a subject's around them, :math:`\rho`.

    Raises:
        ValueError: If there are fewer than two networks.

    Reference:
        Kong et al. (2019), Spatial topography of individual-specific cortical networks, with von
        Mises-Fisher fingerprints; Rouillard and Wassermann (2022), ADAVI, appendix E.10, with
        Gaussian ones and, as here, labels that are not shared by sessions.
    """
    if networks < 2:
        raise ValueError(f"networks must be at least 2, got {networks}.")
    zero, free = torch.zeros(networks, dim), networks - 1
    location, width = log_scale
    scales = torch.full((networks,), location)
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("session"), Plate("vertex")],
        sites={
            "mu": Latent(lambda: Normal(zero, 1.0), event_shape=(networks, dim)),
            "log_eps": Latent(lambda: Normal(scales, width), event_shape=(networks,)),
            "log_sigma": Latent(lambda: Normal(scales, width), event_shape=(networks,)),
            "log_kappa": Latent(lambda: Normal(location, width)),
            "mu_s": Latent(
                lambda mu, log_eps: Normal(mu, log_eps.exp().mT),
                plates="subject",
                event_shape=(networks, dim),
            ),
            "mu_st": Latent(
                lambda mu_s, log_sigma: Normal(mu_s, log_sigma.exp().mT),
                plates=("subject", "session"),
                event_shape=(networks, dim),
            ),
            "eta": Latent(
                lambda: Normal(torch.zeros(free), group_logits),
                plates="vertex",
                event_shape=(free,),
            ),
            "pi": Latent(
                lambda eta: Normal(eta, subject_logits),
                plates=("subject", "vertex"),
                event_shape=(free,),
            ),
            "x": Observed(
                lambda mu_st, pi, log_kappa: MixtureSameFamily(
                    Categorical(logits=pi @ contrasts(networks).to(pi).T),
                    Independent(Normal(mu_st, log_kappa.exp().unsqueeze(-1)), 1),
                ),
                plates=("subject", "session", "vertex"),
                event_shape=(dim,),
            ),
        },
    )


def label_probabilities(logits: Float[Tensor, "*rows free"]) -> Float[Tensor, "*rows networks"]:
    """The probabilities of the networks, from draws of `pi` or `eta`."""
    basis = contrasts(logits.shape[-1] + 1).to(logits)
    return (logits @ basis.T).softmax(-1)


def contrasts(networks: int) -> Float[Tensor, "networks free"]:
    r"""An orthonormal basis of the vectors that sum to zero, in float64.

    Column `j` compares the first `j` networks with the next one (Helmert),
    :math:`(1, \dots, 1, -j, 0, \dots) / \sqrt{j (j + 1)}`.
    """
    columns = torch.zeros(networks, networks - 1, dtype=torch.float64)
    for j in range(1, networks):
        columns[:j, j - 1] = 1.0
        columns[j, j - 1] = -j
    return columns / columns.norm(dim=0)
