"""With the guide at the exact posterior, the ELBO is the log evidence for every draw."""

from __future__ import annotations

import math

import pytest
import torch
from laws.exact_gre import SCALES, bounded, random_effects, settle

import pavi
from pavi.core.distributions import unvalidated
from pavi.guides import asvi, branch, per_instance


@pytest.fixture
def problem():
    model, data, guide, exact = random_effects(groups=4)
    settle(guide, exact)
    return model, data, guide, exact


@pytest.mark.parametrize("path", [True, False])
def test_the_elbo_is_the_evidence_for_every_draw(problem, path):
    model, data, guide, exact = problem
    batch = data.batch(seed=1)
    drawn = guide(batch, draws=16, path=path)
    with unvalidated():
        total = model.log_factor("x", drawn.values, batch, draws=16).reshape(16, -1).sum(1)
    for name in drawn.values:
        total = total + (drawn.log_p[name] - drawn.log_q[name]).reshape(16, -1).sum(1)
    torch.testing.assert_close(total, torch.full_like(total, exact.log_evidence))


def width(log_scale, bound=15):
    """The coefficient of a Gaussian flow whose log width, in typical scales, is `log_scale`."""
    return bound * math.atanh(log_scale / bound)


def exact_per_instance(model, sizes, exact):
    guide = per_instance(model, sizes).double()
    rows = {name: guide.encoder.table(name) for name in ("mu", "mu_g")}
    rows["mu"][0, :2] = exact.mean / SCALES[0]
    rows["mu"][0, 2:4] = bounded(2 * math.log(SCALES[0] / exact.sd))
    rows["mu_g"][:, :2] = exact.group_data / SCALES[1]
    rows["mu_g"][:, 2:4] = bounded(2 * math.log(SCALES[1] / exact.group_sd))
    return guide


def exact_asvi(model, sizes, exact):
    guide = asvi(model, sizes).double()
    rows = {name: guide.encoder.table(name) for name in ("mu", "mu_g")}
    # The free location is its coefficient over one half, the part that is free at the start.
    free = exact.group_data / (1 - exact.group_slope)
    rows["mu"][0, :2] = exact.mean / SCALES[0] / 2
    rows["mu_g"][:, :2] = free / SCALES[1] / 2
    rows["mu"][0, 2:4] = width(math.log(exact.sd / SCALES[0]))
    rows["mu_g"][:, 2:4] = width(math.log(exact.group_sd / SCALES[1]))
    rows["mu"][:, 4:] = rows["mu_g"][:, 6:] = -60.0  # gates at zero
    rows["mu_g"][:, 4:6] = math.log(exact.group_slope / (1 - exact.group_slope))
    return guide


def exact_branch(model, sizes, exact):
    guide = branch(model, sizes).double()
    encodings = {name: torch.zeros(16, dtype=torch.float64) for name in ("mu",)}
    encodings["mu_g"] = torch.zeros(4, 16, dtype=torch.float64)
    # What groups see of mu is its noise.
    encodings["mu_g"][:, :2] = (exact.group_data + exact.group_slope * exact.mean) / SCALES[1]
    linear = {name: guide.flows[name].head.block.linear for name in ("mu", "mu_g")}
    linear["mu"].bias[:2] = exact.mean / SCALES[0]
    linear["mu"].bias[2:4] = width(math.log(exact.sd / SCALES[0]), bound=8)
    linear["mu_g"].bias[2:4] = width(math.log(exact.group_sd / SCALES[1]), bound=8)
    linear["mu_g"].weight[:2, 16:] = exact.group_slope * exact.sd / SCALES[1] * torch.eye(2)
    return guide.grounded(encodings)


@pytest.mark.parametrize("family", [exact_per_instance, exact_asvi, exact_branch])
@pytest.mark.parametrize("path", [True, False])
def test_other_families_hold_the_posterior_too(problem, family, path):
    model, data, _, exact = problem
    with torch.no_grad():
        guide = family(model, data.cardinalities, exact)
    for name, scale in (("mu", SCALES[0]), ("mu_g", SCALES[1])):
        zero = torch.zeros(2, dtype=torch.float64)
        guide.flows[name].set_reference(zero, zero + scale)
        getattr(guide, f"_scale_{name}").fill_(scale)
    batch = data.batch(seed=1)
    drawn = guide(batch, draws=16, path=path)
    with unvalidated():
        total = model.log_factor("x", drawn.values, batch, draws=16).reshape(16, -1).sum(1)
    for name in drawn.values:
        total = total + (drawn.log_p[name] - drawn.log_q[name]).reshape(16, -1).sum(1)
    torch.testing.assert_close(total, torch.full_like(total, exact.log_evidence))


def test_path_gradients_vanish_at_the_posterior(problem):
    _, data, guide, _ = problem
    norms = {}
    for gradient in ("path", "reparam"):
        guide.zero_grad()
        pavi.ReducedELBO(draws=2, gradient=gradient)(guide, data.batch(seed=3)).loss.backward()
        norms[gradient] = float(guide.flows["mu_g"].head.bias.grad.norm())
    assert norms["path"] < 1e-9
    assert norms["reparam"] > 0.1
