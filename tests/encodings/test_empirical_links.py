"""Empirical logarithms and logits: their values, and that they add up as all pooling does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nan, tensor
from torch.distributions import Bernoulli, Normal, Poisson
from torch.testing import assert_close

from pavi import Covariate, DeepSetEncodings, HierarchicalModel, Latent, Observed, Plate, PlateData
from pavi.posterior.encode import encode

GROUPS = np.array([0, 1, 1, 2, 2, 2])


def model_of(**likelihoods):
    return HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "b": Latent(lambda: Normal(0.0, 1.0), "group"),
            **{name: Observed(each, "obs") for name, each in likelihoods.items()},
        },
    )


def linked(model, arrays, *, rows=None):
    """The numbers of every group, of observations in the groups above."""
    data = PlateData.from_arrays(
        arrays, model, links={"obs": {"group": GROUPS}}, missing="ignore", dtype=torch.float64
    )
    encoder = DeepSetEncodings().build(model, data.cardinalities).double()
    batch = data.batch(rows)
    (groups,) = encoder._groups(batch, None).values()
    encoder.inputs[0].standardise(batch)
    read = encoder.inputs[0](batch)
    return encoder.links[0](batch, groups, read[..., encoder.inputs[0].covariates])


def test_counts_have_the_empirical_logarithm_of_their_rate():
    model = model_of(y=lambda b: Poisson(b.exp()))
    found = linked(model, {"y": tensor([0, 3, 4, 1, 0, 0])})
    assert_close(found, tensor([[0.5], [7.5 / 2], [1.5 / 3]]).double().log())


def test_answers_have_the_empirical_logit_of_their_share():
    model = model_of(y=lambda b: Bernoulli(logits=b))
    found = linked(model, {"y": tensor([1, 1, 0, 0, 0, 0])})
    assert_close(found, tensor([[1.5 / 0.5], [1.0], [0.5 / 3.5]]).double().log())


@pytest.mark.parametrize("likelihood", [Poisson, Bernoulli])
def test_a_slope_is_one_newton_step_with_its_information(likelihood):
    """Of the last two observations, one lacks its value; covariates are standardised over all."""
    model = HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "b": Latent(lambda: Normal(0.0, 1.0), "group"),
            "x": Covariate("obs", event_shape=(2,)),
            "y": Observed(lambda b, x: of_predictor(likelihood, b + x.sum(-1)), "obs"),
        },
    )
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 5.0
    y = tensor([1.0, 1.0, 0.0, 1.0, nan, 1.0])
    found = linked(model, {"x": x, "y": y})
    z = (x - x.mean(0)) / x.std(0, correction=0)
    for group in range(3):
        kept = torch.tensor((group == GROUPS).tolist()) & y.isfinite()
        slopes = torch.zeros(2, dtype=torch.float64)
        count, events = kept.sum(), y[kept].sum()
        mean = (events + 0.5) / (count + (likelihood is Bernoulli))
        link = mean.log() if likelihood is Poisson else mean.logit()
        away = z[kept] - z[kept].mean(0)

        def log_density(slopes, away=away, kept=kept, link=link):
            given = of_predictor(likelihood, link + (away * slopes).sum(-1))
            return given.log_prob(y[kept].double()).sum()

        score = torch.autograd.functional.jacobian(log_density, slopes)
        information = 0.5 - torch.autograd.functional.hessian(log_density, slopes).diagonal()
        assert_close(found[group, 1:3], score / information)
        assert_close(found[group, 3:], information.log())


def of_predictor(likelihood, eta):
    return likelihood(eta.exp()) if likelihood is Poisson else likelihood(logits=eta)


def test_real_values_have_none():
    found = linked(model_of(y=lambda b: Normal(b, 1.0)), {"y": torch.randn(6)})
    assert found.shape == (3, 0)


def test_missing_values_take_no_part():
    """The third group has one count and two answers, the first none of either."""
    model = model_of(y=lambda b: Poisson(b.exp()), z=lambda b: Bernoulli(logits=b))
    found = linked(
        model,
        {"y": tensor([nan, 3, 4, nan, 8, nan]), "z": tensor([nan, 1, 1, 1, 0, nan])},
    )
    expected = tensor([[0.5 / 0.5, 1.0], [7.5 / 2, 2.5 / 0.5], [8.5, 1.0]])
    assert_close(found, expected.double().log())


def test_entries_of_a_vector_are_told_apart():
    model = HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "b": Latent(lambda: Normal(0.0, 1.0), "group"),
            "y": Observed(lambda b: Poisson(b.exp()), "obs", event_shape=(2,)),
        },
    )
    counts = tensor([[1, 0], [2, 4], [0, 4], [1, 0], [1, 0], [1, 3]])
    expected = tensor([[1.5, 0.5], [2.5 / 2, 8.5 / 2], [3.5 / 3, 3.5 / 3]]).double().log()
    assert_close(linked(model, {"y": counts}), expected)


@pytest.mark.parametrize("likelihood", ["counts", "answers"])
@pytest.mark.parametrize("missing", [False, True])
def test_encodings_in_parts_are_those_of_all_data(likelihood, missing):
    """Crossed, so that parts hold some rows only of the groups that they share."""
    of = {
        "counts": lambda a, b: Poisson((a + b).exp()),
        "answers": lambda a, b: Bernoulli(logits=a + b),
    }
    model = HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "student"),
            "b": Latent(lambda: Normal(0.0, 1.0), "lecturer"),
            "y": Observed(of[likelihood], "rating"),
        },
    )
    y = torch.arange(12.0) % (2 if likelihood == "answers" else 5)
    if missing:
        y[[0, 7]] = nan
    links = {"rating": {"student": np.arange(12) % 5, "lecturer": np.arange(12) % 3}}
    data = PlateData.from_arrays({"y": y}, model, links=links, missing="ignore")
    encoder = DeepSetEncodings().build(model, data.cardinalities)
    encoder.standardise(data.batch())
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0.0, 0.2)
    whole, parts = encode(encoder, data), encode(encoder, data, budget=1)
    for name, encoding in whole.items():
        assert_close(parts[name], encoding, rtol=1e-4, atol=1e-5)  # float32
