"""ArviZ trees: what is in them, what their rows are called, and when they are too large."""

from __future__ import annotations

import dataclasses
from datetime import date
from decimal import Decimal

import numpy as np
import pytest
import torch
from posterior.narrow import DESIGNS, narrow_posterior
from torch.distributions import Normal
from torch.testing import assert_close

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate
from pavi.metrics.log_ratio import log_ratio
from pavi.posterior.arviz_export import GROUPS
from pavi.posterior.coordinates import coordinates

DRAWS = 8


@pytest.fixture(scope="module")
def nest():
    return narrow_posterior("ragged nest")


@pytest.fixture(scope="module")
def tree(nest):
    return nest.to_arviz(draws=DRAWS)


def test_plates_are_dimensions_and_labels_coordinates(tree):
    assert set(tree.children) == set(GROUPS)
    b, y = tree["posterior"]["b"], tree["posterior_predictive"]["y"]
    assert b.dims == ("chain", "draw", "school")
    assert y.dims == ("chain", "draw", "pupil")
    assert b.coords["school"].values.tolist() == ["C/1", "A/1", "B/1", "C/2", "B/2"]
    assert b.coords["lea_of_school"].values.tolist() == ["C", "A", "B", "C", "B"]
    assert y.coords["lea_of_pupil"].values.tolist()[:4] == ["B", "B", "C", "A"]
    assert y.coords["school_of_pupil"].values.tolist()[:4] == ["B/1", "B/2", "C/1", "A/1"]
    assert tree["posterior"]["a"].sel(lea="B").shape == (1, DRAWS)
    assert tree["posterior"].attrs["inference_library"] == "pavi"


def test_the_groups_belong_to_the_same_draws(nest, tree):
    drawn = nest.sample(draws=DRAWS)
    for site, value in drawn.items():
        assert_close(torch.as_tensor(tree["posterior"][site].values[0]), value)
    factors = nest.model.log_factors(drawn, nest.data.batch())
    likelihood = torch.as_tensor(tree["log_likelihood"]["y"].values[0])
    assert_close(likelihood, factors["y"])
    joint = sum(factor.reshape(DRAWS, -1).sum(1) for factor in factors.values())
    stats = {
        name: torch.as_tensor(value.values[0]) for name, value in tree["sample_stats"].items()
    }
    assert_close(stats["lp"], joint)
    ratio = sum(log_ratio(nest.guide, nest.data, draws=DRAWS, seed=0).values())
    assert_close(stats["lp"] - stats["log_q"], ratio)
    for group, site in (("observed_data", "y"), ("constant_data", "x")):
        assert_close(torch.as_tensor(tree[group][site].values), nest.data.values[site])


@pytest.mark.parametrize("design", DESIGNS)
def test_many_chunks_give_what_one_does(design):
    posterior = narrow_posterior(design)
    one, many = (posterior.to_arviz(draws=DRAWS, budget=budget) for budget in (2**24, 1))
    for site in posterior.model.latents:
        found, expected = many["posterior"][site], one["posterior"][site]
        assert found.dims == expected.dims
        # The noise of the rows differs, in a width of about 1e-6 scales of the prior.
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-2)
    for group in ("posterior_predictive", "log_likelihood"):
        assert many[group]["y"].sizes == one[group]["y"].sizes
    # Each draw's own predictive: its residuals are those of its own likelihood.
    assert np.isfinite(many["posterior_predictive"]["y"]).all()


def test_vectors_have_dimensions_of_their_own():
    tree = narrow_posterior("dense crossing").to_arviz(draws=DRAWS)
    assert tree["posterior"]["c"].dims == ("chain", "draw", "subject", "vertex", "c_dim_0")
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "subject", "session", "vertex")
    assert tree["observed_data"]["y"].dims == ("subject", "session", "vertex", "y_dim_0")
    assert "constant_data" not in tree.children


def one_plate():
    return HierarchicalModel(
        [Plate("g")],
        {
            "m": Latent(lambda: Normal(0.0, 1.0)),
            "y": Observed(lambda m: Normal(m, 1.0), "g"),
        },
    )


def of(values, *, labels=None, model=None):
    model = model or one_plate()
    data = pavi.PlateData.from_arrays(
        {"y": torch.tensor(values)}, model, labels=labels, missing="ignore"
    )
    return pavi.Posterior(pavi.PlateAmortizedGuide(model, data.cardinalities), data)


def test_missing_values_are_gaps_without_likelihood():
    tree = of([1.0, float("nan"), 2.0]).to_arviz(draws=DRAWS)
    assert np.isnan(tree["observed_data"]["y"].values).tolist() == [False, True, False]
    assert (tree["log_likelihood"]["y"].values[..., 1] == 0).all()
    assert np.isfinite(tree["posterior_predictive"]["y"]).all()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, [0, 1]),
        ([7, 3], [7, 3]),
        ([0.5, 1.5], [0.5, 1.5]),
        (["u", "v"], ["u", "v"]),
        (["u", 1], ["u", "1"]),
        ([Decimal("1.50"), Decimal(2)], ["1.50", "2"]),
        ([("u", 1), ("u", 2)], ["u/1", "u/2"]),
        (["u", "u"], ["u#0", "u#1"]),
        ([date(2024, 1, 31), date(2024, 2, 1)], np.array(["2024-01-31", "2024-02-01"], "M8[us]").tolist()),
    ],
)  # fmt: skip
def test_every_row_has_a_coordinate_of_its_own(labels, expected):
    posterior = of([1.0, 2.0], labels=labels and {"g": labels})
    found = coordinates(posterior.data, draws=3)["g"]
    assert found.tolist() == expected
    tree = posterior.to_arviz(draws=3)
    assert tree["observed_data"]["y"].sel(g=found[1]).item() == 2.0


def test_the_size_is_told_before_anything_is_drawn(nest):
    with pytest.raises(
        ValueError,
        match=r"would have 2.56 TB \(posterior 800 GB, posterior_predictive 880 GB, log_likelihood "
        r"880 GB\), above the limit of 2.15 GB. .*groups=\('posterior',\).*posterior.to_zarr\(path\)",
    ):
        nest.to_arviz(draws=10**10)
    with pytest.raises(
        ValueError, match=r"would have 800 bytes \(posterior 800 bytes\), above .* 799"
    ):
        nest.to_arviz(draws=10, groups=["posterior"], limit=799)
    assert set(nest.to_arviz(draws=10, groups=["posterior"], limit=800).children) == {"posterior"}


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.to_arviz(groups=["prior"]), r"'prior' is not a group; groups are \['posterior', "),
        (lambda p: p.to_arviz(draws=0), r"draws must be an integer of at least 1"),
        (lambda p: pavi.Posterior(p.guide, dataclasses.replace(p.data, values={})).to_arviz(groups=["log_likelihood"]),
         r"the log likelihood needs the observed values of \['y'\]"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer(nest, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(nest)


def test_without_data_the_draws_alone_are_exported(tmp_path):
    posterior = of([1.0, 2.0])
    posterior.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", posterior.model)
    groups = ("posterior", "posterior_predictive")
    assert set(loaded.to_arviz(draws=3, groups=groups).children) == set(groups)
    with pytest.raises(ValueError, match=r"needs the observed values of \['y'\]"):
        loaded.to_arviz()


def test_a_site_with_the_name_of_a_plate_is_refused():
    model = HierarchicalModel(
        [Plate("g")],
        {"g": Latent(lambda: Normal(0.0, 1.0)), "y": Observed(lambda g: Normal(g, 1.0), "g")},
    )
    with pytest.raises(
        ValueError, match=r"'g' is the name of a site of the model and of a dimension"
    ):
        of([1.0, 2.0], model=model).to_arviz(draws=3)


def test_arviz_reads_it(tree):
    from arviz_base import extract

    assert extract(tree, var_names="b").dims == ("school", "sample")
