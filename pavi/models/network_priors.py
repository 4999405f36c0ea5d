r"""The priors of a parcellation: networks with fingerprints, and label distributions over them.

.. math::
    \mu_l &\sim N(0, I), \quad
        \log\epsilon_l, \log\sigma_l, \log\kappa \sim N(\mathrm{log\_scale}) \\
    \mu_{sl} &\sim N(\mu_l, \epsilon_l^2 I), \quad
        \mu_{stl} \sim N(\mu_{sl}, \sigma_l^2 I) \\
    \eta_n &\sim N(0, s_\eta^2 I), \quad \pi_{sn} \sim N(\eta_n, \rho^2 I)

A label distribution has `L - 1` free numbers `z` and the logits :math:`V z`, where the columns of
:math:`V` are an orthonormal basis of the vectors of :math:`R^L` that sum to zero. The logits of a
standard normal `z` have the covariance :math:`V V^\top = I - 1 1^\top / L`, which no relabelling
changes: the prior treats all networks alike. With one logit fixed to zero it would not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Normal

from pavi.core import Latent


def network_priors(
    *,
    networks: int,
    dim: int,
    sessions: int | None,
    log_scale: tuple[float, float],
    group_logits: float,
    subject_logits: float,
) -> dict[str, Latent]:
    r"""The latent sites of a parcellation, on the plates `subject`, `vertex` and maybe `session`.

    Args:
        networks: The number of networks :math:`L`.
        dim: The dimension of a fingerprint.
        sessions: How many sessions are an axis of `mu_st`; None where they are the plate
            `session`.
        log_scale: Mean and standard deviation of the prior of the three log scales.
        group_logits: The standard deviation of a vertex' group logits, :math:`s_\eta`.
        subject_logits: That of a subject's around them, :math:`\rho`.

    Raises:
        ValueError: If there are fewer than two networks or no session.
    """
    if networks < 2:
        raise ValueError(f"networks must be at least 2, got {networks}.")
    if sessions is not None and sessions < 1:
        raise ValueError(f"sessions must be at least 1, got {sessions}.")
    zero, free = torch.zeros(networks, dim), networks - 1
    location, width = log_scale
    scales = torch.full((networks,), location)
    plates: tuple[str, ...] = ("subject", "session")
    event_shape: tuple[int, ...] = (networks, dim)
    if sessions is not None:
        plates, event_shape = ("subject",), (sessions, *event_shape)
    return {
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
            plates=plates,
            event_shape=event_shape,
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
    }


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
