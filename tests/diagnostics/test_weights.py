"""The weights of the globals alone and of rows, against evidence in closed form."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from laws.exact_gre import SCALES, bounded, random_effects, settle
from torch.distributions import MultivariateNormal, Normal

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate
from pavi.data.chunks import Chunks
from pavi.diagnostics.stages import stages, whole_stage
from pavi.diagnostics.weights import global_weights, row_weights
from pavi.guides import TotalFlowGuide
from pavi.metrics import pareto_khat
from pavi.metrics.log_ratio import log_ratio

WIDE = 2**24


def weigh(guide, data, *, draws, inner=4, budget=WIDE, seed=0):
    chunks = Chunks(data, draws=draws * inner, budget=budget)
    root = stages(guide.model, split=chunks.split)
    return global_weights(guide, data, root, chunks, draws=draws, inner=inner, seed=seed)


def weigh_rows(guide, data, path, *, contexts=4, draws=100, inner=4, budget=WIDE):
    chunks = Chunks(data, draws=contexts * draws, budget=budget)
    parts = row_weights(
        guide, data, path, chunks, contexts=contexts, draws=draws, inner=inner, seed=0
    )
    return list(parts)


def shrink(guide, exact, site, factor):
    """Widths of a site times a factor, around the right place."""
    scale, sd = {"mu": (SCALES[0], exact.sd), "mu_g": (SCALES[1], exact.group_sd)}[site]
    with torch.no_grad():
        guide.encoder._tables[site][:, 2:4] = bounded(2 * math.log(scale / (factor * sd)))


@pytest.fixture
def problem():
    """A guide at the exact posterior."""
    _, data, guide, exact = random_effects(groups=6)
    settle(guide, exact)
    return data, guide, exact


@pytest.mark.parametrize("budget", [WIDE, 500])
def test_at_the_posterior_every_weight_of_the_globals_is_the_evidence(problem, budget):
    data, guide, exact = problem
    found = weigh(guide, data, draws=16, budget=budget)
    expected = torch.full((16,), exact.log_evidence, dtype=torch.float64)
    torch.testing.assert_close(found.log_weights, expected, rtol=1e-6, atol=0)
    assert found.noise < 1e-9


def test_at_the_posterior_every_weight_of_a_row_is_one(problem):
    data, guide, _ = problem
    root = stages(guide.model, split=frozenset({"group"}))
    (weights,) = weigh_rows(guide, data, (root, root.children[0]))
    assert weights.shape == (100, 4, 6)
    assert weights.abs().max() < 1e-9


def test_shrunken_globals_have_the_weights_that_they_should(problem):
    data, guide, exact = problem
    shrink(guide, exact, "mu", 0.5)
    found = weigh(guide, data, draws=4000)
    # Half the width in two dimensions: the log weight is 2 log(1/2) + (1 - 1/4) e with an
    # exponential e, which is a Pareto variable of shape 3/4.
    excess = (found.log_weights - exact.log_evidence + 2 * math.log(2)) / 0.75
    assert excess.min() > -1e-6
    assert float(excess.mean()) == pytest.approx(1, abs=4 / math.sqrt(4000))
    assert float((excess < math.log(2)).double().mean()) == pytest.approx(0.5, abs=0.03)
    assert found.noise < 1e-9  # groups are exact


def test_groups_that_are_off_are_integrated_and_do_not_spoil_the_globals(problem):
    data, guide, exact = problem
    shrink(guide, exact, "mu_g", 1.3)
    few, many = (weigh(guide, data, draws=200, inner=inner) for inner in (4, 256))
    for found in (few, many):
        # Exact but for noise: unbiased, with the error that is said.
        spread = float(found.log_weights.std())
        assert 0.7 * found.noise < spread < 1.4 * found.noise
        mean = float(found.log_weights.logsumexp(0)) - math.log(200)
        assert mean == pytest.approx(exact.log_evidence, abs=4 * spread / math.sqrt(200))
    # Noise falls with the root of the draws: 64 times as many, an eighth.
    assert few.noise / many.noise == pytest.approx(8, rel=0.3)


def test_a_row_that_is_off_is_the_one_that_is_found(problem):
    data, guide, exact = problem
    with torch.no_grad():
        row = guide.encoder._tables["mu_g"][3]
        row[2:4] = bounded(2 * math.log(2 * SCALES[1] / exact.group_sd))
    root = stages(guide.model, split=frozenset({"group"}))
    parts = weigh_rows(
        guide, data, (root, root.children[0]), contexts=10, draws=400, budget=20_000
    )
    assert len(parts) > 1
    khat = torch.cat([pareto_khat(part) for part in parts], 1).mean(0)
    # Half the width in two dimensions: k is 3/4, each of ten estimates has an error of 0.23.
    assert float(khat[3]) == pytest.approx(0.75, abs=0.2)
    assert (khat[[0, 1, 2, 4, 5]] == -math.inf).all()


def gaussian(plates, **sites):
    return HierarchicalModel(plates, sites)


UNITS = {
    (): lambda: Normal(0.0, 0.5),
    ("m",): lambda m: Normal(m, 0.5),
    ("a",): lambda a: Normal(a, 0.5),
    ("r",): lambda r: Normal(r, 0.5),
    ("s",): lambda s: Normal(s, 0.5),
}


def unit(*parents):
    """A normal around its parent, half a unit wide."""
    return UNITS[parents]


NEST = gaussian(
    [Plate("lea"), Plate("school", within="lea"), Plate("pupil", within="school")],
    m=Latent(unit()),
    a=Latent(unit("m"), "lea"),
    b=Latent(unit("a"), "school"),
    y=Observed(lambda b: Normal(b, 2.0), "pupil"),
)
# Data on two levels, two branches below one, and a plate that has nothing to do with the others.
TREE = gaussian(
    [Plate("lea"), Plate("school", within="lea"), Plate("club", within="lea"), Plate("year")],
    m=Latent(unit()),
    a=Latent(unit("m"), "lea"),
    b=Latent(unit("a"), "school"),
    c=Latent(unit("a"), "club"),
    d=Latent(unit("m"), "year"),
    w=Observed(lambda m: Normal(m, 2.0), "lea"),
    x=Observed(lambda b: Normal(b, 2.0), "school"),
    y=Observed(lambda c: Normal(c, 2.0), "club"),
    z=Observed(lambda d: Normal(d, 2.0), "year"),
)
SPARSE = gaussian(
    [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
    m=Latent(unit()),
    s=Latent(unit("m"), "student"),
    k=Latent(unit("m"), "lecturer"),
    y=Observed(lambda s, k: Normal(s + k, 2.0), "rating"),
)
DENSE = gaussian(
    [Plate("subject"), Plate("item")],
    m=Latent(unit()),
    s=Latent(unit("m"), "subject"),
    t=Latent(unit("m"), "item"),
    u=Latent(unit("s"), ("subject", "item")),
    v=Latent(unit("s"), ("subject",)),
    y=Observed(lambda t, u, v: Normal(t + u + v, 2.0), ("subject", "item")),
)
# A crossing inside the rows of the largest plate, and one outside.
INSIDE = gaussian(
    [Plate("subject"), Plate("session"), Plate("vertex")],
    m=Latent(unit()),
    r=Latent(unit("m"), "session"),
    s=Latent(unit("r"), ("subject", "session")),
    t=Latent(unit("m"), ("subject", "vertex")),
    y=Observed(lambda s, t: Normal(s + t, 2.0), ("subject", "session", "vertex")),
)
DESIGNS = {
    "nest": (NEST, {"lea": 3, "school": 5, "pupil": 9}),
    "tree": (TREE, {"lea": 3, "school": 5, "club": 4, "year": 2}),
    "sparse crossing": (SPARSE, {"student": 5, "lecturer": 3, "rating": 9}),
    "dense crossing": (DENSE, {"subject": 4, "item": 2}),
    "crossing inside": (INSIDE, {"subject": 4, "session": 2, "vertex": 2}),
}


def evidence(model, data):
    """By the covariance of all data: everything is a sum of independent normals around zero."""
    weights, batch = {}, data.batch()
    columns = 0
    for name in (*model.latents, *model.observed):
        site = model.sites[name]
        columns += math.prod(batch.shape(site.plates))
    start = 0
    for name in (*model.latents, *model.observed):
        site, shape = model.sites[name], batch.shape(model.sites[name].plates)
        count = math.prod(shape)
        own = torch.zeros(columns, count, dtype=torch.float64)
        own[range(start, start + count), range(count)] = 0.5 if name in model.latents else 2.0
        start += count
        total = own.reshape(columns, *shape)
        for parent in site.parents:
            total = total + model.aligned(parent, name, weights, batch)
        weights[name] = total
    rows = torch.cat([weights[n].flatten(1) for n in model.observed], 1)
    values = torch.cat([data.values[n].flatten() for n in model.observed])
    return float(MultivariateNormal(torch.zeros_like(values), rows.T @ rows).log_prob(values))


@pytest.mark.parametrize("budget", [WIDE, 2000])
@pytest.mark.parametrize("design", DESIGNS)
def test_the_mean_weight_is_the_evidence_for_every_design(design, budget):
    model, sizes = DESIGNS[design]
    sim = model.simulate(sizes, seed=1, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()  # the prior
    found = weigh(guide, data, draws=400, inner=6, budget=budget)
    weights = found.log_weights.exp()
    error = float(weights.std() / weights.mean()) / math.sqrt(400)
    assert error < 0.06
    mean = float(found.log_weights.logsumexp(0)) - math.log(400)
    assert mean == pytest.approx(evidence(model, data), abs=4 * error)


@pytest.mark.parametrize("budget", [WIDE, 2000])
def test_rows_are_normalised_in_every_context(budget):
    model, sizes = DESIGNS["nest"]
    sim = model.simulate(sizes, seed=1, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    root = stages(model, split=frozenset(model.plates))
    for path, rows in zip(list(root.paths())[1:], (3, 5), strict=True):
        weights = torch.cat(weigh_rows(guide, data, path, budget=budget), -1)
        assert weights.shape == (100, 4, rows)
        means = weights.exp().mean(0)
        torch.testing.assert_close(means, torch.ones_like(means))


def sites(stage):
    return [(*stage.sites, *stage.observed), stage.unit, stage.tied, *map(sites, stage.children)]


@pytest.mark.parametrize(
    ("model", "split", "expected"),
    [
        (NEST, {"lea", "school", "pupil"},
         [("m",), (), False, [("a",), ("lea",), False, [("b", "y"), ("school",), False]]]),
        (SPARSE, {"student", "rating"},
         [("m",), (), False, [("k",), (), True, [("s", "y"), ("student",), False]]]),
        (INSIDE, {"subject"},
         [("m",), (), False, [("r",), (), True, [("s", "t", "y"), ("subject",), True]]]),
    ],
)  # fmt: skip
def test_stages_follow_the_plates(model, split, expected):
    assert sites(stages(model, split=frozenset(split))) == expected


def test_a_guide_that_draws_all_at_once_has_joint_weights(problem):
    data, _, _ = problem
    guide = TotalFlowGuide(data.model, data.cardinalities).double()
    chunks = Chunks(data, draws=50, budget=sys.maxsize)
    root = whole_stage(data.model)
    found = global_weights(guide, data, root, chunks, draws=50, inner=4, seed=0)
    seed = int(np.random.default_rng([0, 0]).integers(2**63 - 1))
    expected = torch.stack(list(log_ratio(guide, data, draws=50, seed=seed).values())).sum(0)
    torch.testing.assert_close(found.log_weights, expected)
    assert found.noise == 0
