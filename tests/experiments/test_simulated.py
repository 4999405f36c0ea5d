"""Simulated problems, and the references that are stored of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from benchmarks.labellings import RELABELLED
from experiments.problems.evidence import load_evidence
from experiments.problems.reference import load_reference
from experiments.problems.simulated import SIMULATED

SMALL = {
    "gre": {"groups": 3},
    "nc": {"obs": 4},
    "gm": {"components": 2, "groups": 2},
    "hv": {"groups": 3},
    "ms_hbm": {"networks": 3, "vertices": 5},
}
REFERENCES = ["nc", "hv", "gm", "ms_hbm"]


@pytest.mark.parametrize("name", SIMULATED)
def test_problems_are_built_by_name(name):
    problem = SIMULATED[name]
    model = problem.model(SMALL[name])
    single, double = (
        problem.data(model, SMALL[name], seed=2, dtype=d) for d in (torch.float32, torch.float64)
    )
    assert dict(single.cardinalities) == problem.cardinalities(SMALL[name])
    for plate, size in problem.plates.items():
        assert single.cardinalities[plate] == {**problem.sizes, **SMALL[name]}[size]
    assert torch.equal(single.values["x"].double(), double.values["x"])
    exact = problem.exact_evidence(double)
    assert (exact is None) == (name not in ("gre", "nc"))


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"no size 'group'; sizes are \['dim', 'groups', 'obs'\]"):
        SIMULATED["gre"].model({"group": 3})
    with pytest.raises(ValueError, match="size 'obs' must be positive, got 0"):
        SIMULATED["nc"].cardinalities({"obs": 0})


def test_labellings_are_counted():
    assert SIMULATED["hv"].log_labellings() == 0
    assert SIMULATED["gm"].log_labellings() == pytest.approx(math.log(6))
    assert SIMULATED["gm"].log_labellings({"components": 4}) == pytest.approx(math.log(24))


@pytest.mark.parametrize("name", RELABELLED)
def test_relabelling_changes_no_density(name):
    problem = SIMULATED[name]
    sizes = {**SMALL[name], problem.interchangeable: 3}
    model = problem.model(sizes)
    drawn = model.simulate(problem.cardinalities(sizes), seed=0, dtype=torch.float64)
    batch = problem.data(model, sizes, dtype=torch.float64).batch()
    values = {site: value.unsqueeze(0) for site, value in drawn.latents.items()}
    before = model.log_factors(values, batch)
    moved = RELABELLED[name](values, [2, 0, 1])
    assert not torch.allclose(moved["mu"], values["mu"])
    for site, factor in model.log_factors(moved, batch).items():
        torch.testing.assert_close(factor, before[site])


@pytest.mark.parametrize("name", REFERENCES)
def test_references_are_of_the_sites_of_the_model(name):
    problem, reference = SIMULATED[name], load_reference(name)
    model, sizes = problem.model(), problem.cardinalities()
    latents = set(model.latents)
    assert {entry.partition("[")[0] for entry in reference.globals} | set(
        reference.locals
    ) == latents
    for site, (mean, sd) in reference.locals.items():
        spec = model.sites[site]
        count = math.prod(sizes[p] for p in spec.plates) * math.prod(spec.event_shape)
        assert mean.size == sd.size == count
        assert np.isfinite(mean).all()
        assert (sd > 0).all()


@pytest.mark.parametrize("name", REFERENCES)
def test_stored_evidences(name):
    problem, found = SIMULATED[name], load_evidence(name)
    assert found.standard_error < 0.05
    assert found.log_labellings == pytest.approx(problem.log_labellings())
    exact = problem.exact_evidence(problem.data(problem.model(), dtype=torch.float64))
    if exact is not None:
        assert found.value == pytest.approx(exact, abs=0.02)


def test_the_stored_evidence_of_hierarchical_variance_against_quadrature():
    """Group means integrate by hand, noise levels and hyper-parameters on a grid."""
    problem = SIMULATED["hv"]
    x = problem.data(problem.model(), dtype=torch.float64).values["x"].numpy()
    groups, size, dim = x.shape

    def normal(value, variance):
        return -0.5 * (np.log(2 * np.pi * variance) + value**2 / variance)

    means = x.mean(1)
    within = ((x - means[:, None]) ** 2).sum((1, 2))
    log_s, step_s = np.linspace(-2.2, 2.2, 121, retstep=True)
    noise = np.exp(2 * log_s)
    base = normal(log_s, 0.25) - within[:, None] / (2 * noise) + np.log(step_s)
    base = base - dim * ((size - 1) * np.log(2 * np.pi * noise) + np.log(size)) / 2
    reference = load_reference("hv").globals
    grids = [
        np.linspace(mean - 8 * sd, mean + 8 * sd, 41)
        for mean, sd in (reference["mu[0]"], reference["mu[1]"])
    ]
    log_taus, step_tau = np.linspace(-6.5, 1.0, 61, retstep=True)
    totals = []
    for log_tau in log_taus:
        variance = np.exp(2 * log_tau) + noise / size
        one, other = (
            np.exp(normal(means[:, d, None, None] - grid[:, None], variance) - normal(0, variance))
            for d, grid in enumerate(grids)
        )
        weights = np.exp(base + 2 * normal(0, variance) - base.max(1, keepdims=True))
        likelihood = np.einsum("gis,gjs,gs->gij", one, other, weights)
        total = (np.log(likelihood) + base.max(1)[:, None, None]).sum(0)
        total = total + normal(grids[0], 1.0)[:, None] + normal(grids[1], 1.0)
        totals.append(np.logaddexp.reduce(total.ravel()) + normal(log_tau, 1.0))
    steps = step_tau * np.prod([grid[1] - grid[0] for grid in grids])
    exact = np.logaddexp.reduce(totals) + np.log(steps)
    found = load_evidence("hv")
    assert abs(found.value - exact) < 4 * found.standard_error


def test_unknown_evidences_are_refused():
    with pytest.raises(
        ValueError, match=r"no stored evidence of 'gre'; there are \['chem97', 'gm', 'hv'"
    ):
        load_evidence("gre")
    with pytest.raises(ValueError, match="data of seed 0, got data_seed=3"):
        load_evidence("nc", data_seed=3)
