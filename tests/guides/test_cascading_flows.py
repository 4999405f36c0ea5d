"""Cascading flows: the prior at gates of one, a normalised joint density, whole rows only."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import Gamma, HalfNormal, Normal
from torch.testing import assert_close

import pavi
from pavi import Latent, Observed, Plate
from pavi.guides import CascadingFlowsGuide, cascading_flows, prior_draw
from pavi.metrics import full_elbo
from pavi.models import gaussian_random_effects, gre_posterior

SIZES = {
    dense_crossing: {"subject": 2, "session": 2, "vertex": 3},
    ragged_nest: {"lea": 2, "school": 3, "pupil": 6},
    sparse_crossing: {"student": 3, "lecturer": 2, "rating": 6},
}


def groups_alone():
    """No latent site lies above the groups."""
    return pavi.HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "group"),
            "s": Latent(lambda: HalfNormal(1.0), "group"),
            "b": Latent(lambda a, s: Normal(a, s), "group"),
            "y": Observed(lambda b, a: Normal(b + a, 1.0), "obs"),
        },
    )


def problem(design=ragged_nest, *, sizes=None, spread=0.0, dtype=torch.float64, **choices):
    model = design()
    sim = model.simulate(sizes or SIZES[design], seed=0, dtype=dtype)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, dtype=dtype)
    guide = CascadingFlowsGuide(model, data.cardinalities, auxiliary=3, **choices).to(dtype)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.add_(spread * torch.randn_like(parameter))
    return data, guide


def total(terms):
    return sum(term.flatten(1).sum(1) if term.ndim > 1 else term for term in terms.values())


@pytest.mark.parametrize("path", [True, False])
@pytest.mark.parametrize("design", SIZES)
def test_with_gates_at_one_the_guide_is_the_prior(design, path):
    data, guide = problem(design, spread=0.3)
    for name, shape in guide._shapes.items():
        with torch.no_grad():  # what bends the model's dimensions stays random, but is shut out
            guide.encoders[name].table(name)[:, shape.width] = 800.0
            numbers = guide.encoders[name].table(name)[:, shape.width + 1 : sum(shape.sizes)]
            numbers.zero_()
            guide.encoders[name].table(name)[:, shape.dim : shape.width] = 0.0
    drawn = guide(data.batch(seed=1), draws=8, path=path)
    for name in guide.model.latents:
        assert_close(drawn.log_q[name], drawn.log_p[name], rtol=1e-9, atol=1e-7)


def test_a_prior_draw_follows_the_prior_and_mirrors():
    generator = torch.Generator().manual_seed(0)
    settings = {"like": torch.zeros((), dtype=torch.float64), "antithetic": True, "noise": 1.0}
    for prior in (Normal(1.0, 2.0), HalfNormal(2.0), Gamma(2.0, 0.5)):
        state = torch.random.get_rng_state()
        wide = prior.expand((20_000,))
        draw = prior_draw.prior_draw(wide, generator, **settings)
        assert torch.equal(state, torch.random.get_rng_state())
        level = torch.as_tensor(prior.cdf(draw)).double().sort().values
        steps = torch.arange(1, 20_001) / 20_000
        assert (level - steps).abs().max() < 1.95 / 20_000**0.5  # Kolmogorov-Smirnov, 0.1%
        if not isinstance(prior, Gamma):
            both = prior.cdf(draw[:10_000]) + prior.cdf(draw[10_000:])
            assert_close(both, torch.ones_like(both), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match="noise of a Gamma cannot be made narrower"):
        prior_draw.prior_draw(Gamma(2.0, 0.5).expand((4,)), generator, **settings | {"noise": 0.5})


@pytest.mark.parametrize("amortised", [True, False])
@pytest.mark.parametrize("design", SIZES)
def test_the_density_of_draws_and_auxiliaries_is_normalised(design, amortised):
    # So near the prior that the ratio below has a variance.
    data, guide = problem(design, spread=0.05, amortised=amortised, gate=0.98)
    guide.standardise(data.batch())
    with torch.no_grad():
        drawn = guide(data.batch(seed=2), draws=40_000)
    # p(theta) r(auxiliaries) / q(theta, auxiliaries) has mean one under q.
    ratio = (total(drawn.log_p) - total(drawn.log_q)).exp()
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 200
    assert ratio.std() > 0.05


@pytest.mark.parametrize("amortised", [True, False])
def test_path_and_full_gradients_agree_in_the_mean(amortised):
    data, guide = problem(spread=0.2, amortised=amortised)
    guide.standardise(data.batch())
    parameters = list(guide.parameters())
    differences = []
    for seed in range(30):
        found = []
        for path in (True, False):
            drawn = guide(data.batch(seed=seed), draws=200, path=path)
            loss = (total(drawn.log_q) - total(drawn.log_p)).mean()
            slopes = torch.autograd.grad(loss, parameters)
            found.append((float(loss.detach()), torch.cat([slope.flatten() for slope in slopes])))
        assert found[0][0] == pytest.approx(found[1][0], rel=1e-9)
        differences.append(found[0][1] - found[1][1])
    differences = torch.stack(differences)
    error = differences.std(0) / 30**0.5
    assert (error > 1e-6).any()
    # Student's t of 29 degrees of freedom, hundreds of parameters.
    assert (differences.mean(0).abs() <= 6 * error + 1e-9).all()


def test_the_average_over_batches_of_whole_groups_is_the_full_bound(monkeypatch):
    data, guide = problem(groups_alone, sizes={"group": 3, "obs": 7}, spread=0.3)
    plates = ["obs", "group", "group", "group", "group", "group", "group"]
    tables, current = [], {}

    def noise(draws, shape, *_, **__):
        number = next(current["calls"])
        if len(tables) == number:
            full = (draws, data.cardinalities[plates[number]], *shape[1:])
            tables.append(torch.randn(full, dtype=torch.float64))
        return tables[number][:, current["batch"].rows[plates[number]]]

    monkeypatch.setattr(cascading_flows, "gaussian_noise", noise)
    monkeypatch.setattr(prior_draw, "gaussian_noise", noise)

    def value_and_gradient(batch):
        current.update(batch=batch, calls=iter(range(7)))
        loss = pavi.ReducedELBO(draws=2)(guide, batch).loss
        slopes = torch.autograd.grad(loss, list(guide.parameters()))
        dense = [slope.to_dense().flatten() for slope in slopes]
        return torch.cat([loss.detach().reshape(1), *dense])

    full = value_and_gradient(data.batch())
    mean = torch.zeros_like(full)
    for pair in ([0, 1], [0, 2], [1, 2]):
        part = data.subset(group=pair)
        rows = {"group": torch.tensor(pair).numpy()}
        children = [data.children("obs", "group").rows(rows["group"][i : i + 1]) for i in (0, 1)]
        rows["obs"] = torch.tensor(sorted(r for rows in children for r in rows)).numpy()
        assert len(rows["obs"]) == part.cardinalities["obs"]
        weights = {plate: 1.5 + 0.0 * ids for plate, ids in rows.items()}
        mean += value_and_gradient(data.batch(rows, weights=weights)) / 3
    assert_close(mean, full)


def test_rows_without_those_below_them_are_refused():
    data, guide = problem(groups_alone, sizes={"group": 3, "obs": 9})
    rows, weights = (
        {"obs": torch.tensor([0, 3]).numpy()},
        {"obs": torch.tensor([4.5, 4.5]).numpy()},
    )
    with pytest.raises(ValueError, match=r"without some rows of 'y' .* \['obs'\] are not whole"):
        guide(data.batch(rows, weights=weights), draws=2)
    with pytest.raises(ValueError, match="holds 2 of 9 rows, chosen and not drawn"):
        guide(data.batch(rows), draws=2)


def test_a_population_mean_needs_all_groups():
    model = gaussian_random_effects()
    sim = model.simulate({"group": 4, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    guide = CascadingFlowsGuide(model, data.cardinalities)
    with pytest.raises(ValueError, match="holds rows of 'mu' without some rows of 'mu_g'"):
        pavi.fit(model, data, guide=guide, steps=2, batch={"group": 2}, progress=False)


def test_an_init_is_where_the_draws_start():
    model = pavi.HierarchicalModel(
        [Plate("group")],
        {
            "s": Latent(lambda: HalfNormal(1.0), init=3.0),
            "a": Latent(lambda: Normal(0.0, 1.0), "group", init=[-2.0, 0.5, 4.0]),
            "y": Observed(lambda a, s: Normal(a, s), "group"),
        },
    )
    data = pavi.PlateData.from_arrays({"y": torch.zeros(3)}, model)
    guide = CascadingFlowsGuide(model, data.cardinalities)
    guide.initialise(data.batch())
    drawn = guide(data.batch(), draws=2, noise=1e-4)
    assert_close(drawn.values["s"], torch.full((2,), 3.0), rtol=1e-2, atol=0)
    # The start is relative to the prior's median, which is that of 2048 draws.
    expected = torch.tensor([-2.0, 0.5, 4.0]).expand(2, 3)
    assert_close(drawn.values["a"], expected, rtol=0, atol=0.1)


def test_the_rounding_of_constant_data_is_not_blown_up():
    model = groups_alone()
    nearly = [0.1, 0.1 * (1 + 1e-9), 0.1]
    data = pavi.PlateData.from_arrays(
        {"y": nearly}, model, links={"obs": [0, 1, 1]}, dtype=torch.float64
    )
    guide = CascadingFlowsGuide(model, data.cardinalities, amortised=True).double()
    guide.standardise(data.batch())
    torch.nn.init.ones_(guide.shifts["y"].linear.weight)
    shift = guide._shift("y", data.batch())
    assert_close(shift, torch.zeros_like(shift), rtol=0, atol=1e-8)


def test_missing_data_have_no_shift():
    model = groups_alone()
    data = pavi.PlateData.from_arrays(
        {"y": [1.0, torch.nan, 2.0]}, model, links={"obs": [0, 1, 1]}, missing="ignore"
    )
    guide = CascadingFlowsGuide(model, data.cardinalities, amortised=True)
    guide.standardise(data.batch())
    torch.nn.init.ones_(guide.shifts["y"].linear.weight)
    shift = guide._shift("y", data.batch())
    assert_close(shift[:, 0], torch.tensor([-1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="the batch lacks 'y'"):
        guide(data.batch(sites=[]), draws=1)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"auxiliary": 0}, "auxiliary must be positive, got 0"),
        ({"hidden": 0}, "hidden must be positive"),
        ({"gate": 1.0}, "gate must lie between 0 and 1, got 1.0"),
    ],
)
def test_choices_out_of_range_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        CascadingFlowsGuide(gaussian_random_effects(), {"group": 2, "obs": 2}, **choices)


def test_other_mistakes_are_named():
    data, guide = problem()
    drawn = guide(data.batch(), draws=2)
    with pytest.raises(ValueError, match="not tractable without its auxiliary noise"):
        guide.log_prob(drawn.values, data.batch())
    part = pavi.guides.Draws(values={"mu": drawn.values["mu"]})
    with pytest.raises(ValueError, match=r"all of them or none; given are \['mu'\]"):
        guide(data.batch(), draws=2, given=part)
    assert guide(data.batch(), draws=2, given=drawn) is drawn
    with pytest.raises(ValueError, match=r"cardinalities lack the plates \['pupil'\]"):
        CascadingFlowsGuide(guide.model, {"lea": 1, "school": 1})


@pytest.mark.parametrize("amortised", [True, False])
def test_the_bound_comes_near_the_evidence_of_random_effects(amortised):
    model = gaussian_random_effects()
    sim = model.simulate({"group": 3, "obs": 10}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    guide = CascadingFlowsGuide(model, data.cardinalities, amortised=amortised)
    pavi.fit(model, data, guide=guide, steps=500, progress=False)
    elbo = full_elbo(guide, data, draws=1000)
    gap = gre_posterior(data.values["x"]).log_evidence - elbo.mean
    # 0.11 nats per latent, of 8; a lower bound stays below the evidence.
    assert -3 * elbo.standard_error < gap < 0.16 * 8
