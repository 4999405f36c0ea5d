r"""Families whose best member is known: it is reached, and no better one is reported.

The best factorised Gaussian. Let the posterior be :math:`N(m, \Lambda^{-1})` and
:math:`q = N(m, D^{-1})` with diagonal `D`. Then

.. math:: 2\,\mathrm{KL}(q \| p) = \mathrm{tr}(\Lambda D^{-1}) - k + \log\det D - \log\det\Lambda,

which is least where every :math:`D_{ii} = \Lambda_{ii}`; what remains is
:math:`\log \prod_i \Lambda_{ii} - \log\det\Lambda`. In Gaussian random effects each dimension has
the precisions :math:`\Lambda_{00} = s_\mu^{-2} + G s_g^{-2}` of the population mean,
:math:`\Lambda_{gg} = s_g^{-2} + N s_x^{-2}` of a group mean, and :math:`-s_g^{-2}` between them,
so that :math:`\det\Lambda = \Lambda_{gg}^G (\Lambda_{00} - G s_g^{-4} / \Lambda_{gg})` and

.. math:: \mathrm{KL}(q^* \| p) =
    -\frac D2 \log\Big(1 - \frac{G s_g^{-4}}{\Lambda_{00} \Lambda_{gg}}\Big).
"""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence
from torch.testing import assert_close

import pavi
from pavi.flows import FlowContext
from pavi.guides import adavi, asvi, branch, mean_field, per_instance
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.8, 0.5, 1.0)
GROUPS, OBS, DIM = 4, 3, 2


def data_of(scales=SCALES, *, groups=GROUPS, obs=OBS, seed=0, dtype=torch.float64):
    model = gaussian_random_effects(dim=DIM, scales=scales)
    simulation = model.simulate({"group": groups, "obs": obs}, seed=seed, dtype=dtype)
    return pavi.PlateData.from_arrays(simulation.arrays, model, dtype=dtype)


def gap_of(posterior, scales, *, draws=512):
    elbo = posterior.elbo(draws=draws).mean
    return gre_posterior(posterior.data.values["x"], scales=scales).log_evidence - elbo


def mean_field_gap(scales):
    s_mu, s_g, s_x = scales
    population, group = s_mu**-2 + GROUPS * s_g**-2, s_g**-2 + OBS * s_x**-2
    return -DIM / 2 * math.log1p(-GROUPS * s_g**-4 / (population * group))


def precision_of(scales):
    """Of one dimension: the population mean, then the group means."""
    s_mu, s_g, s_x = scales
    diagonal = [s_mu**-2 + GROUPS * s_g**-2] + GROUPS * [s_g**-2 + OBS * s_x**-2]
    precision = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
    precision[0, 1:] = precision[1:, 0] = -(s_g**-2)
    return precision


def test_the_gap_of_mean_field_is_that_of_its_derivation():
    precision = precision_of(SCALES)
    zero = torch.zeros(GROUPS + 1, dtype=torch.float64)
    posterior = MultivariateNormal(zero, precision_matrix=precision)
    factorised = MultivariateNormal(zero, precision_matrix=precision.diag().diag())
    found = DIM * float(kl_divergence(factorised, posterior))
    assert found == pytest.approx(mean_field_gap(SCALES), rel=1e-10)
    assert found > 0.5  # so that the fit below has something to find


@torch.no_grad()
def moments(guide, name):
    """Location and width of every row of a site, `(rows, DIM)`: the values of noise 0 and 1."""
    rows = guide.encoder.table(name)
    unread = rows.new_zeros(1)
    context = FlowContext(rows, unread, unread, unread, None)
    values = guide.flows[name](torch.tensor([0.0, 1.0]).double().view(2, 1, 1), context)[0]
    return values[0], values[1] - values[0]


def test_mean_field_reaches_the_best_factorised_gaussian():
    data = data_of()
    guide = mean_field(data.model, data.cardinalities).double()
    fast = pavi.Optimization(learning_rate=0.1)
    pavi.fit(data.model, data, guide=guide, batch={}, steps=200, optimization=fast, progress=False)
    exact = gre_posterior(data.values["x"], scales=SCALES)
    groups = exact.group_data + exact.group_slope * exact.mean
    means = torch.cat([exact.mean.unsqueeze(0), groups])
    parts = [moments(guide, name) for name in ("mu", "mu_g")]
    location, widths = (torch.cat(part) for part in zip(*parts, strict=True))
    precision, total = precision_of(SCALES), 0.0
    for d in range(DIM):
        ours = MultivariateNormal(location[:, d], widths[:, d].square().diag())
        theirs = MultivariateNormal(means[:, d], precision_matrix=precision)
        total += float(kl_divergence(ours, theirs))
    best = mean_field_gap(SCALES)
    assert best - 1e-9 < total < best + 0.01


@pytest.mark.parametrize("family", [asvi, per_instance])
def test_the_prior_is_reproduced_by_open_gates_and_by_flows_at_their_start(family):
    data = data_of()
    guide = family(data.model, data.cardinalities).double()
    if family is asvi:
        with torch.no_grad():
            for name in data.model.latents:
                guide.encoder.table(name).normal_()
                guide.encoder.table(name)[:, 2 * DIM :] = 40.0  # the gate is 1 in float64
    drawn = guide(data.batch(seed=1), draws=8)
    for name in data.model.latents:
        assert_close(drawn.log_q[name], drawn.log_p[name], rtol=1e-12, atol=1e-12)


# Largest gaps in nats per latent.
@pytest.mark.parametrize(
    ("family", "largest"), [(per_instance, 0.005), (branch, 0.01), (asvi, 0.005)]
)
def test_families_that_hold_the_posterior_reach_it(family, largest):
    scales = (0.5, 0.5, 0.1)
    data = data_of(scales, groups=3, obs=5)
    guide = family(data.model, data.cardinalities).double()
    fast = pavi.Optimization(learning_rate=0.1)
    posterior = pavi.fit(
        data.model, data, guide=guide, batch={}, steps=250, optimization=fast, progress=False
    )
    # Slightly below zero: the noise of the estimate.
    assert -0.002 < gap_of(posterior, scales) / (DIM * (3 + 1)) < largest


@pytest.mark.parametrize("family", [adavi, branch])
def test_an_unseen_data_set_is_close_to_its_evidence(family):
    scales = (0.5, 0.5, 0.1)
    amortized = pavi.amortize(
        gaussian_random_effects(dim=DIM, scales=scales),
        {"group": 3, "obs": 10},
        guide=family,
        datasets=16,
        steps=150,
        optimization=pavi.Optimization(learning_rate=0.03, network_rate=0.02),
        progress=False,
    )
    gaps = []
    for seed in range(100, 105):
        data = data_of(scales, groups=3, obs=10, seed=seed, dtype=torch.float32)
        gaps.append(gap_of(amortized.condition(data), scales))
    prior = pavi.PlateAmortizedGuide(data.model, data.cardinalities)
    assert -0.1 < sorted(gaps)[2] < 1.0
    assert gap_of(pavi.Posterior(prior, data), scales) > 100.0
