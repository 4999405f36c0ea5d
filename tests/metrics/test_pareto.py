"""Pareto k-hat on weights whose tail is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Exponential

from pavi.metrics import khat_threshold, pareto_khat


def places(count):
    """The middles of `count` equal parts of the unit interval."""
    return (torch.arange(count, dtype=torch.float64) + 0.5) / count


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.75, 1.2])
def test_pareto_weights_have_their_shape(shape):
    # A Pareto variable is the exponential of an exponential one; each column is a sample.
    log_weights = shape * Exponential(torch.ones(200, dtype=torch.float64)).sample((4000,))
    found = pareto_khat(log_weights)
    # From 190 exceedances the error is (1 + k) / sqrt(190), and the prior draws 5% towards 0.5.
    expected = (190 * shape + 5) / 200
    assert float(found.mean()) == pytest.approx(
        expected, abs=4 * (1 + shape) / math.sqrt(190 * 200) + 0.02
    )
    assert float(found.std()) == pytest.approx((1 + shape) / math.sqrt(190), rel=0.4)


# From psislw of arviz-stats 0.8.0, which takes minus the log weights. It and the paper differ
# from this library in how they round the quartile and the number of grid points.
REFERENCE = [
    (lambda p: -0.75 * torch.log1p(-p), {100: 0.63486, 1000: 0.71323, 4000: 0.73114}),
    (lambda p: -1.30 * torch.log1p(-p), {100: 0.94973, 1000: 1.18986, 4000: 1.24244}),
    (lambda p: 0.2 * (40 * p).sin(), {100: -0.94489, 1000: -1.60438, 4000: -1.68277}),
    (lambda p: 0.375 * (9 * p) / 2, {100: -0.33046, 1000: -0.77856, 4000: -0.87508}),
]


@pytest.mark.parametrize(("log_weights", "expected"), REFERENCE)
def test_it_agrees_with_another_library(log_weights, expected):
    for draws, khat in expected.items():
        assert float(pareto_khat(log_weights(places(draws)))) == pytest.approx(khat, abs=0.005)


def test_a_constant_factor_and_the_order_of_draws_change_nothing():
    log_weights = 0.6 * Exponential(torch.ones(500, dtype=torch.float64)).sample()
    found = float(pareto_khat(log_weights))
    shuffled = log_weights[torch.randperm(500)]
    assert float(pareto_khat(shuffled - 70_000)) == pytest.approx(found, abs=1e-6)


def test_rows_are_judged_apart():
    log_weights = torch.randn(400, 3, 2)
    found = pareto_khat(log_weights)
    assert found.shape == (3, 2)
    assert float(found[1, 1]) == pytest.approx(float(pareto_khat(log_weights[:, 1, 1])))


@pytest.mark.parametrize(
    ("log_weights", "expected"),
    [
        (torch.full((100,), -3.0), -math.inf),
        # Most weights equal the largest one: bounded, and no tail to fit.
        (torch.cat([torch.zeros(90), -torch.ones(10)]), -math.inf),
        (torch.full((100,), math.nan), math.inf),
        (torch.cat([torch.randn(99), torch.tensor([math.inf])]), math.inf),
    ],
)
def test_weights_without_a_tail(log_weights, expected):
    assert float(pareto_khat(log_weights)) == expected


def test_one_weight_that_outweighs_all_is_bad():
    log_weights = torch.cat([torch.randn(999), torch.tensor([1000.0])])
    assert float(pareto_khat(log_weights)) > 1


def test_the_threshold_rises_to_seven_tenths():
    assert khat_threshold(100) == 0.5
    assert khat_threshold(1000) == pytest.approx(2 / 3)
    assert khat_threshold(10_000) == 0.7


def test_few_draws_are_refused():
    with pytest.raises(ValueError, match="needs 25 draws or more, got 24"):
        pareto_khat(torch.zeros(24))
