"""Predictions of old and new groups, against closed forms and against hand-made draws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from core.designs import ragged_nest, sparse_crossing
from laws.exact_gre import SCALES, random_effects, settle
from posterior.narrow import DESIGNS, TOLERANCE, narrow_posterior
from torch.distributions import Normal, Poisson
from torch.testing import assert_close

import pavi
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate
from pavi.flows import AffineFlow
from pavi.guides import TotalFlowGuide

DRAWS = 20_000
S_G, S_X = SCALES[1:]


@pytest.fixture(scope="module")
def exact():
    model, data, guide, answer = random_effects(groups=4)
    settle(guide, answer)
    data = dataclasses.replace(data, labels={"group": list("abcd")})
    return pavi.Posterior(guide, data), answer


def unmeasured(groups):
    """Three observations, not made yet, of each of the named groups."""
    labels = {"group": groups, "obs": [1, 2, 3]}
    model = random_effects(groups=1)[0]
    return pavi.PlateData.from_arrays(
        {}, model, labels=labels, dtype=torch.float64, observed=False
    )


def assert_moments(value, mean, variance):
    """Within 4.5 standard errors of a sample of Gaussians."""
    assert ((value.mean(0) - mean).abs() < 4.5 * (variance / len(value)) ** 0.5).all()
    assert ((value.var(0) / variance - 1).abs() < 4.5 * (2 / len(value)) ** 0.5).all()


def assert_covariance(one, other, covariance):
    found = ((one - one.mean(0)) * (other - other.mean(0))).mean(0)
    error = ((one.var(0) * other.var(0) + covariance**2) / len(one)) ** 0.5
    assert ((found - covariance).abs() < 4.5 * error).all()


@pytest.mark.parametrize("budget", [2**24, 1])
def test_replicated_data_have_the_exact_moments(exact, budget):
    posterior, answer = exact
    x = posterior.predict("x", draws=DRAWS, budget=budget)
    assert x.shape == (DRAWS, 4, 3, 2)
    mean = answer.group_data + answer.group_slope * answer.mean
    within = answer.group_sd**2 + (answer.group_slope * answer.sd) ** 2
    assert_moments(x, mean.unsqueeze(1), within + S_X**2)
    assert_covariance(x[:, :, 0], x[:, :, 1], within)
    assert_covariance(x[:, 0, 0], x[:, 1, 1], (answer.group_slope * answer.sd) ** 2)


@pytest.mark.parametrize("budget", [2**24, 1])
def test_old_and_new_groups_have_the_exact_moments(exact, budget):
    posterior, answer = exact
    data = unmeasured(["new", "c", "newer"])
    x = posterior.predict("x", data=data, draws=DRAWS, budget=budget)
    old, new = x[:, 1], x[:, [0, 2]]
    mean = answer.group_data[2] + answer.group_slope * answer.mean
    known = answer.group_sd**2 + (answer.group_slope * answer.sd) ** 2
    assert_moments(old, mean, known + S_X**2)
    assert_moments(new, answer.mean, answer.sd**2 + S_G**2 + S_X**2)
    assert_covariance(new[:, :, 0], new[:, :, 1], answer.sd**2 + S_G**2)
    # All groups share one mu, in whatever chunks they are drawn.
    assert_covariance(new[:, 0, 0], new[:, 1, 1], answer.sd**2)
    assert_covariance(new[:, 0, 0], old[:, 1], answer.group_slope * answer.sd**2)


def test_chosen_rows_come_in_their_order(exact):
    posterior, answer = exact
    mean = answer.group_data + answer.group_slope * answer.mean
    x = posterior.predict("x", draws=DRAWS, group=[3, 1])
    assert_close(x.mean(0), mean[[3, 1]].unsqueeze(1).expand(2, 3, 2), rtol=0, atol=0.015)
    data = unmeasured(["d", "z", "b"])
    x = posterior.predict("x", data=data, draws=DRAWS, group=[2, 0])
    assert_close(x.mean(0), mean[[1, 3]].unsqueeze(1).expand(2, 3, 2), rtol=0, atol=0.015)


def test_the_same_seed_gives_the_same_and_torch_is_left_alone(exact):
    posterior, _ = exact
    before = torch.random.get_rng_state()
    one, same, other = (posterior.predict("x", draws=3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("budget", [2**24, 1])
def test_known_rows_are_the_guides(name, budget):
    """Row by row, through links and crossings: all labels are there, in another order."""
    posterior = narrow_posterior(name, dependence="none")
    data = posterior.data
    observed = posterior.model.sites["y"].conditional
    values = posterior.sample(draws=2)
    batch = data.batch()
    arguments = {
        parent: posterior.model.aligned(parent, "y", values, batch)
        for parent in posterior.model.sites["y"].parents
    }
    mean = observed(**arguments).mean.expand(2, *data.values["y"].shape)[0]
    order = {plate: reversed(range(size)) for plate, size in data.cardinalities.items()}
    turned = turn(data, {plate: list(rows) for plate, rows in order.items()})
    draws = 3000
    for given in (None, data, turned):
        y = posterior.predict("y", data=given, draws=draws, budget=budget)
        found, error = y.mean(0), 4.5 * y.std(0) / draws**0.5
        if given is turned:
            found, error = (
                part.flip(tuple(range(part.ndim - (name[0] == "d")))) for part in (found, error)
            )
        assert ((found - mean).abs() < error + TOLERANCE).all()


def turn(data, order):
    """The same data with the rows of every plate in another order, and nothing measured."""
    model = data.model
    arrays = {}
    for site in model.covariates:
        value = data.values[site]
        for axis, plate in enumerate(model.sites[site].plates):
            value = value.index_select(axis, torch.tensor(order[plate]))
        arrays[site] = value
    links = {
        plate: {
            parent: torch.tensor([order[parent].index(int(rows[row])) for row in order[plate]])
            for parent, rows in parents.items()
        }
        for plate, parents in data.links.items()
    }
    labels = {plate: [names[row] for row in order[plate]] for plate, names in data.labels.items()}
    return pavi.PlateData.from_arrays(
        arrays, model, links=links, labels=labels, dtype=torch.float64, observed=False
    )


@pytest.mark.parametrize("budget", [2**24, 1])
def test_a_new_school_of_a_known_lea_has_its_prior_there(budget):
    posterior = narrow_posterior("ragged nest", dependence="none")
    frame = pd.DataFrame(
        {"lea": ["C", "C", "D", "A"], "school": [1, 9, 1, 9], "pupil": list("wxyz"), "x": 0.0}
    )
    data = pavi.PlateData.from_frame(frame, ragged_nest(), observed=False, dtype=torch.float64)
    lea, school = (
        data.labels["lea"],
        list(zip(data.labels["school"], data.links["school"]["lea"].tolist(), strict=True)),
    )
    values = {site: value[0] for site, value in posterior.sample(draws=1).items()}
    y = posterior.predict("y", data=data, draws=DRAWS, budget=budget)
    pupil = {label: row for row, label in enumerate(data.labels["pupil"])}
    old = {label: row for row, label in enumerate(posterior.data.labels["lea"])}
    assert (lea, len(school)) == (["A", "C", "D"], 4)
    # School 1 of "C" is row 0 of the fitted schools: its link is to lea 2.
    assert_moments(y[:, pupil["w"]], values["b"][0], torch.tensor(0.5**2))
    spread = values["tau"] ** 2 + 0.5**2
    assert_moments(y[:, pupil["x"]], values["a"][old["C"]], spread)
    assert_moments(y[:, pupil["z"]], values["a"][old["A"]], spread)
    assert_moments(y[:, pupil["y"]], values["mu"], 1.5**2 + spread)


@pytest.mark.parametrize("budget", [2**24, 1])
def test_a_known_student_meets_a_new_lecturer(budget):
    posterior = narrow_posterior("sparse crossing", dependence="none")
    links = {"rating": {"student": torch.tensor([0, 1, 0]), "lecturer": torch.tensor([0, 0, 1])}}
    labels = {"student": [9, 99], "lecturer": ["z", "m"]}
    data = pavi.PlateData.from_arrays(
        {}, sparse_crossing(), links=links, labels=labels, observed=False, dtype=torch.float64
    )
    v = {site: value[0] for site, value in posterior.sample(draws=1).items()}
    y = posterior.predict("y", data=data, draws=DRAWS, budget=budget)
    noise = (0.3 + v["tau"]) ** 2
    assert_moments(y[:, 0], v["s"][2] + v["mu"], 1.0 + noise)
    assert_moments(y[:, 1], v["mu"], v["tau"] ** 2 + 1.0 + noise)
    assert_moments(y[:, 2], v["s"][2] + v["l"][2], noise)
    # One lecturer gives both ratings.
    assert_covariance(y[:, 0], y[:, 1], torch.tensor(1.0))


def counts():
    return HierarchicalModel(
        [Plate("g"), Plate("row", within="g")],
        {
            "m": Latent(lambda: Normal(0.0, 1.0)),
            "b": Latent(lambda m: Normal(m, 0.5), "g"),
            "size": Covariate("row"),
            "dose": Observed(lambda b, size: Normal(b + size, 0.1), "row"),
            "n": Observed(lambda dose: Poisson(dose.exp()), "row"),
        },
    )


@pytest.fixture(scope="module")
def fitted():
    model = counts()
    sim = model.simulate({"g": 3, "row": 8}, seed=0)
    arrays = dict(sim.arrays)
    arrays["dose"] = arrays["dose"].clone()
    arrays["dose"][2] = torch.nan
    data = pavi.PlateData.from_arrays(
        arrays, model, links=sim.links, labels={"g": ["u", "v", "w"]}, missing="ignore"
    )
    return pavi.fit(model, data, steps=3, progress=False)


def test_observed_parents_are_drawn_too_and_missing_values_are_replaced(fitted):
    found = fitted.predict(draws=4000)
    assert list(found) == ["dose", "n"]
    assert found["dose"].isfinite().all()
    assert (found["n"] == found["n"].round()).all()
    # A count follows the replicated dose of its own draw.
    ratio = found["n"].double().sum() / found["dose"].double().exp().sum()
    assert abs(float(ratio) - 1) < 0.05
    assert torch.equal(fitted.predict("n", draws=4000), found["n"])


def test_a_guide_that_draws_all_at_once_predicts_too():
    model = counts()
    sim = model.simulate({"g": 3, "row": 8}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links, labels={"g": [1, 2, 3]})
    guide = TotalFlowGuide(model, data.cardinalities, flow=AffineFlow(full=True))
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_(0.0, 0.3)
    posterior = pavi.Posterior(guide, data)
    frame = pd.DataFrame({"g": [3, 4], "size": [0.5, 0.5]})
    new = pavi.PlateData.from_frame(frame, model, observed=False)
    dose = posterior.predict("dose", data=new, draws=DRAWS)
    drawn = posterior.sample(draws=DRAWS)
    assert_close(dose[:, 0].mean(), drawn["b"][:, 2].mean() + 0.5, rtol=0, atol=0.05)
    assert_close(dose[:, 1].mean(), drawn["m"].mean() + 0.5, rtol=0, atol=0.05)
    assert_close(dose[:, 1].std(), (drawn["m"].var() + 0.26) ** 0.5, rtol=0.05, atol=0)


def rows(**columns):
    return pavi.PlateData.from_frame(pd.DataFrame(columns), counts(), observed=False)


OTHER = HierarchicalModel([], {"m": Latent(lambda: Normal(0.0, 1.0)), "y": Observed(lambda m: Normal(m, 1.0))})  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.predict("b"), r"'b' is a latent site, which sample\(\) draws; .*\['dose', 'n'\]"),
        (lambda p: p.predict("w"), r"'w' is unknown; predict\(\) draws the observed sites"),
        (lambda p: p.predict(draws=0), r"draws must be an integer of at least 1, got 0"),
        (lambda p: p.predict(h=[0]), r"'h' is not a plate; plates are \['g', 'row'\]"),
        (lambda p: p.predict(g=[3]), r"plate 'g' has rows 0 to 2, got 3"),
        (lambda p: p.predict(g=[]), r"rows of plate 'g' must be a list of row numbers"),
        (lambda p: p.predict(g=np.array(["u"])), r"rows of plate 'g' must be a list of row numbers"),
        (lambda p: p.predict(g=[0], row=[0]), r"lie within one another; name one of them"),
        (lambda p: p.predict(data=rows(g=["u"])), r"the frame lacks|no values|lacks the columns"),
        (lambda p: p.predict(data=pavi.PlateData.from_arrays({"y": torch.zeros(())}, OTHER)),
         r"the data belong to another model than the posterior: its plates"),
        (lambda p: p.predict(data=rows(g=["u", "x"], size=[0.0, 1.0]), new=[]),
         r"plate 'g' has 1 rows that the posterior has not seen, among them \['x'\]"),
        (lambda p: p.predict(data=rows(g=["u"], size=[0.0]), new=["h"]),
         r"new names \['h'\], which are not plates"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer(fitted, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(fitted)


def test_rows_without_labels_are_asked_for(fitted):
    data = rows(g=["u"], size=[0.0])
    bare = dataclasses.replace(data, labels={})
    with pytest.raises(
        ValueError, match=r"rows of plate 'g', which 'b' lies on, .*to predict they"
    ):
        fitted.predict(data=bare)
    assert fitted.predict("n", data=bare, new=["g"], draws=2).shape == (2, 1)
    unlabelled = pavi.Posterior(fitted.guide, dataclasses.replace(fitted.data, labels={}))
    with pytest.raises(ValueError, match=r"in the data that were fitted they, .*new=\['g'\]"):
        unlabelled.predict(data=data)


def test_a_posterior_loaded_without_data_wants_covariates(fitted, tmp_path):
    fitted.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", fitted.model)
    with pytest.raises(
        ValueError, match=r"predicting \['dose', 'n'\] needs the covariate 'size' for 'dose'"
    ):
        loaded.predict()
    assert loaded.predict("n", data=rows(g=["w"], size=[0.0]), draws=2).shape == (2, 1)
