"""Pareto k-hat on weights whose tail is known."""

from __future__ import annotations

import math

import pytest
import torch
from arviz_stats.base.array import BaseArray
from torch.distributions import Exponential

from pavi.metrics import khat_threshold, pareto_khat, pareto_smoothed


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


WEIGHTS = [
    lambda p: -0.75 * torch.log1p(-p),
    lambda p: -1.30 * torch.log1p(-p),
    lambda p: 0.2 * (40 * p).sin(),
    lambda p: 0.375 * (9 * p) / 2,
]


# It rounds the size of the tail down, which is a whole number for these numbers of draws.
@pytest.mark.parametrize("draws", [100, 400, 10_000])
@pytest.mark.parametrize("log_weights", WEIGHTS)
def test_it_agrees_with_arviz_stats(log_weights, draws):
    given = log_weights(places(draws))[torch.randperm(draws)] + 300.0
    # It is written for leave-one-out, where the weights are one over a likelihood: hence the sign.
    expected, khat = BaseArray().psislw(-given.numpy())
    assert float(pareto_khat(given)) == pytest.approx(float(khat), rel=1e-9)
    found, also = pareto_smoothed(given)
    assert also == float(pareto_khat(given))
    torch.testing.assert_close(found, torch.as_tensor(expected), rtol=1e-8, atol=1e-9)


def test_smoothing_leaves_equal_weights_alone():
    found, khat = pareto_smoothed(torch.full((50,), -3.0))
    assert khat == -math.inf
    torch.testing.assert_close(found, torch.full((50,), -math.log(50), dtype=torch.float64))


def test_smoothing_does_not_hide_that_one_weight_is_all():
    found, khat = pareto_smoothed(torch.cat([torch.randn(999), torch.tensor([1e6])]))
    assert khat == math.inf
    assert float(found.exp().max()) == 1.0


def test_a_weight_of_zero_is_the_limit_of_small_ones():
    log_weights = 0.6 * Exponential(torch.ones(500, dtype=torch.float64)).sample()
    small, none = log_weights.clone(), log_weights.clone()
    small[::7], none[::7] = -1e3, -math.inf
    expected, khat = pareto_smoothed(small)
    found, also = pareto_smoothed(none)
    assert also == khat == float(pareto_khat(none)) < 1
    torch.testing.assert_close(found.exp(), expected.exp(), rtol=1e-12, atol=0.0)
    assert torch.equal(found.isneginf(), none.isneginf())


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
        (torch.full((100,), -math.inf), math.inf),
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
