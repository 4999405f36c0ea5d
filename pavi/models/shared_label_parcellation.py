"""Parcellation of a population's cortices where the sessions of a subject share the label."""

from __future__ import annotations

from pavi.core import HierarchicalModel, Observed, Plate
from pavi.models.label_mixture import LabelMixture
from pavi.models.network_priors import contrasts, network_priors


def shared_label_parcellation(
    *,
    networks: int = 7,
    dim: int = 64,
    sessions: int = 2,
    log_scale: tuple[float, float] = (-1.0, 1.0),
    group_logits: float = 1.0,
    subject_logits: float = 1.0,
) -> HierarchicalModel:
    r"""The model of `multi_session_parcellation`, with one label of a vertex for all sessions.

    .. math::
        \mu_l &\sim N(0, I), \quad
            \log\epsilon_l, \log\sigma_l, \log\kappa \sim N(\mathrm{log\_scale}) \\
        \mu_{sl} &\sim N(\mu_l, \epsilon_l^2 I), \quad
            \mu_{stl} \sim N(\mu_{sl}, \sigma_l^2 I) \\
        \eta_n &\sim N(0, s_\eta^2 I), \quad \pi_{sn} \sim N(\eta_n, \rho^2 I) \\
        x_{sn} &\sim \textstyle\sum_l \mathrm{softmax}(V \pi_{sn})_l
            \prod_t N(x_{stn}; \mu_{stl}, \kappa^2 I)

    A vertex belongs to one network however often it is measured, so that sessions add up: the
    label is summed out once, and the sessions are an axis of the values, not a plate.

    Sites: `mu (networks, dim)`, `log_eps (networks,)`, `log_sigma (networks,)`, `log_kappa ()`,
    `mu_s (subject, networks, dim)`, `mu_st (subject, sessions, networks, dim)`,
    `eta (vertex, networks - 1)`, `pi (subject, vertex, networks - 1)`, observed
    `x (subject, vertex, sessions, dim)`. Plates: `subject`, `vertex`.

    Args:
        networks: The number of networks :math:`L`.
        dim: The dimension of a fingerprint.
        sessions: The number of sessions of every subject.
        log_scale: Mean and standard deviation of the prior of the three log scales.
        group_logits: The standard deviation of a vertex' group logits, :math:`s_\eta`.
        subject_logits: That of a subject's around them, :math:`\rho`.

    Raises:
        ValueError: If there are fewer than two networks or no session.

    Reference:
        Kong et al. (2019), Spatial topography of individual-specific cortical networks, with von
        Mises-Fisher fingerprints; Rouillard et al. (2023), PAVI, whose headline it is.
    """
    priors = network_priors(
        networks=networks,
        dim=dim,
        sessions=sessions,
        log_scale=log_scale,
        group_logits=group_logits,
        subject_logits=subject_logits,
    )
    basis = contrasts(networks).float()
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("vertex")],
        sites={
            **priors,
            "x": Observed(
                lambda mu_st, pi, log_kappa: LabelMixture(
                    pi.squeeze(-2) @ basis.to(pi).T, mu_st, log_kappa.exp().squeeze((-2, -1))
                ),
                plates=("subject", "vertex"),
                event_shape=(sessions, dim),
            ),
        },
    )
