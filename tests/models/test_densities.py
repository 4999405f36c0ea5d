"""Densities and evidences of the models against sums and integrals done by hand."""

from __future__ import annotations

import math

import pytest
import torch
from models.every_model import MODELS
from torch.distributions import Bernoulli, Laplace, Normal, Poisson
from torch.testing import assert_close

import pavi
from pavi.models import label_probabilities, linear_mixed_model, nc_log_evidence
from pavi.models.label_mixture import LabelMixture
from pavi.models.network_priors import contrasts


def simulated(name, seed=0):
    model, sizes = MODELS[name]
    drawn = model.simulate(sizes, seed=seed, dtype=torch.float64)
    arrays = {**drawn.latents, **drawn.arrays}
    data = pavi.PlateData.from_arrays(drawn.arrays, model, links=drawn.links, dtype=torch.float64)
    values = {site: value.unsqueeze(0) for site, value in drawn.latents.items()}
    factors = model.log_factors(values, data.batch())
    return arrays, drawn.links, {site: factor.squeeze(0) for site, factor in factors.items()}


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_evidence_of_the_non_conjugate_model_against_quadrature(spread):
    x = spread * torch.randn(7, 2, dtype=torch.float64) + 0.5
    grid = torch.linspace(0, 20, 400_001, dtype=torch.float64)
    joint = -0.5 * grid + math.log(0.5)
    by_hand = 0.0
    for d in range(2):
        height = joint + sum(Laplace(grid, 0.3).log_prob(x[n, d]) for n in range(7))
        top = height.max()
        by_hand += float(top + torch.trapezoid((height - top).exp(), grid).log())
    assert nc_log_evidence(x) == pytest.approx(by_hand, abs=1e-6)


def test_evidence_of_a_flat_piece():
    # Two observations and no slope of the prior to speak of: constant between them.
    x = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    inside = math.exp(-1 / 0.3)
    tails = 0.15 * inside * (2 - math.exp(-1 / 0.15))
    expected = math.log(1e-12 / 0.36 * (inside + tails))
    assert nc_log_evidence(x, rate=1e-12) == pytest.approx(expected, abs=1e-9)


def test_labels_of_the_mixture_are_summed_out():
    values, _, factors = simulated("gm")
    for g in range(3):
        for n in range(4):
            parts = Normal(values["mu_g"][g], 0.05).log_prob(values["x"][g, n]).sum(-1)
            by_hand = (values["pi"][g].log() + parts).logsumexp(0)
            assert_close(factors["x"][g, n], by_hand)


def test_hierarchical_variance():
    values, _, factors = simulated("hv")
    means = Normal(values["mu"], values["log_tau"].exp()).log_prob(values["mu_g"]).sum(-1)
    assert_close(factors["mu_g"], means)
    scale = values["log_s"].exp()[:, None, None]
    noise = Normal(values["mu_g"].unsqueeze(1), scale).log_prob(values["x"]).sum(-1)
    assert_close(factors["x"], noise)


def test_parcellation():
    values, _, factors = simulated("ms_hbm of 3")
    eps, sigma = values["log_eps"].exp()[:, None], values["log_sigma"].exp()[:, None]
    probabilities = label_probabilities(values["pi"])
    kappa = values["log_kappa"].exp()
    for s in range(2):
        subject = Normal(values["mu"], eps).log_prob(values["mu_s"][s]).sum()
        assert_close(factors["mu_s"][s], subject)
        for t in range(3):
            session = Normal(values["mu_s"][s], sigma).log_prob(values["mu_st"][s, t]).sum()
            assert_close(factors["mu_st"][s, t], session)
            for n in range(4):
                at = Normal(values["mu_st"][s, t], kappa).log_prob(values["x"][s, t, n])
                by_hand = (probabilities[s, n].log() + at.sum(-1)).logsumexp(0)
                assert_close(factors["x"][s, t, n], by_hand)


def test_parcellation_with_labels_that_sessions_share():
    values, _, factors = simulated("shared labels")
    probabilities = label_probabilities(values["pi"])
    sigma, kappa = values["log_sigma"].exp()[:, None], values["log_kappa"].exp()
    for s in range(2):
        sessions = sum(
            Normal(values["mu_s"][s], sigma).log_prob(values["mu_st"][s, t]).sum()
            for t in range(2)
        )
        assert_close(factors["mu_st"][s], sessions)
        for n in range(4):
            given_label = probabilities[s, n].log()
            for t in range(2):
                at = Normal(values["mu_st"][s, t], kappa).log_prob(values["x"][s, n, t])
                given_label = given_label + at.sum(-1)
            assert_close(factors["x"][s, n], given_label.logsumexp(0))


def test_label_probabilities_are_those_of_bayes_rule_with_centroids_per_row_or_shared():
    own = torch.randn(3, 4, 2, 5, 6, dtype=torch.float64)  # (subject, vertex, session, label, dim)
    shared, logits = own[:, :1], torch.randn(3, 4, 5, dtype=torch.float64)
    scale = torch.tensor([0.7, 1.1, 2.0], dtype=torch.float64)[:, None]
    for centroids in (own, shared):
        mixture = LabelMixture(logits, centroids, scale)
        x = mixture.sample()
        assert x.shape == (3, 4, 2, 6)
        at = Normal(centroids, scale[..., None, None, None]).log_prob(x.unsqueeze(-2))
        joint = logits.log_softmax(-1) + at.sum((-1, -3))
        assert_close(mixture.log_prob(x), joint.logsumexp(-1))
        assert_close(mixture.label_probabilities(x), joint.softmax(-1))
        expanded = LabelMixture(logits[:1], centroids[:1], scale[:1]).expand((3, 4))
        assert_close(
            expanded.log_prob(x[:1].expand(x.shape)), joint[:1].logsumexp(-1).expand(3, 4)
        )


def test_labels_are_drawn_with_their_probabilities():
    logits = torch.tensor([0.0, 1.0, -1.0], dtype=torch.float64)
    centroids = torch.tensor([-100.0, 0.0, 100.0], dtype=torch.float64).view(1, 3, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = LabelMixture(logits, centroids, torch.tensor(1.0)).sample((20_000,))
    shares = torch.stack(
        [(drawn.round(decimals=-2) == at).double().mean() for at in (-100, 0, 100)]
    )
    assert (shares - logits.softmax(0)).abs().max() < 0.015  # four standard errors
    assert abs(float((drawn - drawn.round(decimals=-2)).std()) - 1.0) < 0.02


@pytest.mark.parametrize("networks", [2, 3, 7])
def test_contrasts_are_an_orthonormal_basis_and_treat_networks_alike(networks):
    basis = contrasts(networks)
    assert_close(basis.T @ basis, torch.eye(networks - 1, dtype=basis.dtype))
    # The covariance of the logits is the centring matrix, which no relabelling changes.
    alike = torch.eye(networks, dtype=basis.dtype) - 1 / networks
    assert_close(basis @ basis.T, alike)


@pytest.mark.parametrize("name", ["nested gaussian", "crossed bernoulli", "crossed poisson"])
def test_linear_predictors(name):
    values, links, factors = simulated(name)
    predictor = values["intercept"].expand(len(values["y"]))
    for plate, rows in links["obs"].items():
        predictor = predictor + values[f"{plate}_effect"][rows]
        if plate == "school":
            predictor = predictor + values["lea_effect"][links["school"]["lea"][rows]]
    if "beta" in values:
        predictor = predictor + values["x"] @ values["beta"]
    likelihood = {
        "nested gaussian": lambda: Normal(predictor, values["sigma"]),
        "crossed bernoulli": lambda: Bernoulli(logits=predictor),
        "crossed poisson": lambda: Poisson(predictor.exp()),
    }[name]()
    assert_close(factors["y"], likelihood.log_prob(values["y"]))


def test_default_priors_of_mixed_models_are_arguments():
    model = linear_mixed_model(
        ["a", "b"],
        covariates=1,
        intercept=(1.0, 3.0),
        coefficient=0.5,
        group_scale={"a": 0.2, "b": 0.4},
        residual=0.7,
    )
    found = {
        name: model.sites[name].conditional()
        for name in ("intercept", "beta", "tau_a", "tau_b", "sigma")
    }
    assert (float(found["intercept"].loc), float(found["intercept"].scale)) == (1.0, 3.0)
    scales = {name: float(prior.scale) for name, prior in found.items() if name != "intercept"}
    expected = {"beta": 0.5, "tau_a": 0.2, "tau_b": 0.4, "sigma": 0.7}
    assert scales == pytest.approx(expected)


def test_a_data_frame_of_a_nested_design():
    import pandas as pd

    frame = pd.DataFrame(
        {
            "lea": ["n", "n", "s", "s"],
            "school": [1, 2, 1, 1],
            "x_0": [0.1, 0.2, 0.3, 0.4],
            "x_1": [1.0, 0.0, 1.0, 0.0],
            "y": [3, 0, 1, 2],
        }
    )
    model = linear_mixed_model({"school": "lea", "lea": None}, covariates=2, likelihood="poisson")
    data = pavi.PlateData.from_frame(frame, model)
    assert dict(data.cardinalities) == {"lea": 2, "school": 3, "obs": 4}
    schools = data.links["obs"]["school"]
    assert len(set(schools.tolist())) == 3
    assert schools[2] == schools[3]
    assert data.links["school"]["lea"][schools].tolist() == [0, 0, 1, 1]
    assert data.values["x"].shape == (4, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factors": []}, "at least one grouping factor, got none"),
        ({"factors": "student"}, "a list of names or a mapping, got 'student'"),
        ({"factors": ["a", "a"]}, r"distinct names, got \['a', 'a'\]"),
        ({"factors": ["obs"]}, r"cannot be called 'obs'.*these are \['obs', 'x', 'y'"),
        ({"factors": {"a": "b"}}, r"'a' lies within 'b', which is not a factor.*\['a'\]"),
        ({"factors": ["a"], "likelihood": "gamma"}, r"one of \['gaussian', .*got 'gamma'"),
        ({"factors": ["a"], "covariates": -1}, "a number of columns, got -1"),
        ({"factors": ["a"], "group_scale": {"b": 1.0}}, r"got \['b'\], factors are \['a'\]"),
        ({"factors": ["a"], "group_scale": 0.0}, "group_scale of 'a' must be positive, got 0.0"),
        ({"factors": ["a"], "residual": -1.0}, "scale of residual must be positive, got -1.0"),
    ],
)
def test_mixed_models_that_make_no_sense_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        linear_mixed_model(**arguments)


def test_a_single_network_is_refused():
    with pytest.raises(ValueError, match="networks must be at least 2, got 1"):
        pavi.models.multi_session_parcellation(networks=1)
    with pytest.raises(ValueError, match="networks must be at least 2, got 1"):
        pavi.models.shared_label_parcellation(networks=1)
    with pytest.raises(ValueError, match="sessions must be at least 1, got 0"):
        pavi.models.shared_label_parcellation(sessions=0)
