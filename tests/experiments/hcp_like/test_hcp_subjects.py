"""Subjects: what they are drawn from, and what an oracle knows of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import norm

from experiments.hcp_like.calibration import calibrated_noise
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.hcp_like.oracle import oracle
from experiments.hcp_like.population import most_likely, population
from experiments.hcp_like.subject import draw, draw_parameters, label_field, stream

TINY = CohortConfig(subjects=4, vertices=300, dim=5, surface=SurfaceChoice.SPHERE)


def test_the_larger_of_two_noisy_numbers_is_known_in_closed_form():
    gap = np.array([-2.0, 0.0, 0.3, 4.0])
    found = most_likely(np.stack([gap, np.zeros(4)], 1).astype(np.float32))
    np.testing.assert_allclose(found[:, 0], norm.cdf(gap / np.sqrt(2)), atol=1e-6)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)


def test_equal_numbers_are_equally_often_the_largest():
    np.testing.assert_allclose(most_likely(np.full((1, 7), 1.7, np.float32)), 1 / 7, rtol=1e-5)


def test_label_frequencies_are_those_of_simulated_subjects():
    shared = population(TINY)
    count = np.zeros(shared.probabilities.shape)
    draws = 600
    for subject in range(draws):
        weights = draw_parameters(shared, stream(99, subject)).weights
        count[np.arange(len(count)), label_field(shared, weights)] += 1
    expected = shared.probabilities
    error = (count / draws - expected) / np.sqrt(expected * (1 - expected) / draws + 1e-9)
    assert np.abs(error[expected > 0.05]).max() < 5
    assert 0.9 < error[expected > 0.05].std() < 1.1


def test_fields_have_unit_variance_everywhere():
    np.testing.assert_allclose(np.square(population(TINY).features).sum(1), 1, rtol=1e-5)


def test_neighbours_share_labels_more_often_than_chance():
    shared = population(replace(TINY, vertices=2048))
    labels = draw(shared, 0).labels[np.argsort(shared.order)]
    departs = labels != shared.surface.labels
    a, b, _ = shared.surface.faces.T
    both, chance = np.mean(departs[a] & departs[b]), departs.mean() ** 2
    assert 0.1 < departs.mean() < 0.35
    assert both > 2 * chance


def test_a_subject_is_a_function_of_its_number():
    shared = population(TINY)
    first, again, other = draw(shared, 2), draw(population(TINY), 2), draw(shared, 3)
    np.testing.assert_array_equal(first.x, again.x)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert (first.x != other.x).mean() > 0.9
    assert (draw(population(replace(TINY, seed=1)), 2).x != first.x).mean() > 0.9


def test_labels_do_not_depend_on_what_is_measured():
    more = population(replace(TINY, sessions=3, dim=9))
    np.testing.assert_array_equal(draw(population(TINY), 1).labels, draw(more, 1).labels)


def test_fingerprints_are_noise_around_the_centroids():
    shared = population(replace(TINY, vertices=5000, dim=8, noise=0.5))
    found = draw(shared, 0)
    residual = found.x.astype(np.float64) - found.mu_st[:, found.labels]
    size = residual.size
    assert abs(residual.mean()) < 4 * 0.5 / np.sqrt(size)
    assert abs(residual.std() / 0.5 - 1) < 4 / np.sqrt(2 * size)
    for session in range(2):
        for network in range(7):
            own = residual[session][found.labels == network]
            assert np.abs(own.mean(0)).max() < 4.5 * 0.5 / np.sqrt(len(own))


def test_centroids_spread_as_they_should():
    shared = population(replace(TINY, dim=200))
    own = [draw_parameters(shared, stream(0, subject)) for subject in range(50)]
    subjects = np.stack([one.mu_s for one in own]) - shared.mu
    sessions = np.stack([one.mu_st - one.mu_s for one in own])
    np.testing.assert_allclose(subjects.std(axis=(0, 2)), shared.eps, rtol=0.04)
    np.testing.assert_allclose(sessions.std(axis=(0, 1, 3)), shared.sigma, rtol=0.04)
    assert len(set(shared.eps)) == len(set(shared.sigma)) == 7


def test_the_oracle_is_bayes_rule():
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 20, 3)).astype(np.float16)
    centroids = random.standard_normal((2, 4, 3)).astype(np.float32)
    prior = random.dirichlet(np.ones(4), 20).astype(np.float32)
    found = oracle(x, centroids, noise=0.8, probabilities=prior)
    likelihood = norm.logpdf(
        x.astype(np.float64)[:, :, None], centroids[:, None].astype(np.float64), 0.8
    ).sum(axis=(0, 3))
    np.testing.assert_allclose(found, softmax(np.log(prior) + likelihood, axis=1), atol=1e-5)


def test_the_oracle_is_right_as_often_as_the_noise_was_set_for():
    found = [
        draw(population(CohortConfig(vertices=2048, seed=seed, surface=SurfaceChoice.SPHERE)), s)
        for seed in range(3)
        for s in range(3)
    ]
    assert 0.82 < np.mean([one.oracle_accuracy for one in found]) < 0.88
    assert 0.7 < np.mean([one.map_accuracy for one in found]) < 0.82


def test_calibration_ends_at_the_accuracy_that_is_asked_for():
    config = replace(TINY, dim=64)
    tried = list(calibrated_noise(config, accuracy=0.85, seeds=[0, 1], subjects=2))
    noise, accuracy = tried[-1]
    assert accuracy == pytest.approx(0.85, abs=0.005)
    assert noise == pytest.approx(config.noise, rel=0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subjects": 0}, "subjects must be at least 1, got 0"),
        ({"noise": -1.0}, "noise must be positive, got -1.0"),
        ({"noise": float("nan")}, "noise must be positive, got nan"),
        ({"seed": -1}, "seed must be in 0..2[*][*]32 - 1, got -1"),
    ],
)
def test_a_config_out_of_range_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(TINY, **change)
