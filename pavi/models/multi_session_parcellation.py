"""Parcellation of a population's cortices over several sessions (MS-HBM)."""

from __future__ import annotations

from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from pavi.core import HierarchicalModel, Observed, Plate
from pavi.models.network_priors import contrasts, network_priors


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
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("session"), Plate("vertex")],
        sites={
            **network_priors(
                networks=networks,
                dim=dim,
                sessions=None,
                log_scale=log_scale,
                group_logits=group_logits,
                subject_logits=subject_logits,
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
