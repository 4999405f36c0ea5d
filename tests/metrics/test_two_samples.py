"""C2ST and Wasserstein distances on samples whose distance is known."""

from __future__ import annotations

import pytest
import torch
from laws.exact_gre import random_effects, settle

import pavi
from pavi.metrics import c2st, marginal_wasserstein


def test_the_distance_of_a_shift_is_the_shift():
    draws = torch.randn(500, 2, 3)
    sd = draws.double().std(0)
    found = marginal_wasserstein(draws + 0.7, draws)
    torch.testing.assert_close(found, 0.7 / sd, atol=1e-6, rtol=0)
    assert marginal_wasserstein(draws, draws.flip(0)).abs().max() < 1e-12


def test_samples_of_other_sizes_are_compared_exactly():
    draws, reference = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.0, 1.0, 1.0, 2.0, 2.0])
    # The distribution functions are 1/2 against 1/3 on [0, 1], and 1 against 2/3 on [1, 2].
    expected = (1 / 6 + 1 / 3) / reference.double().std()
    assert float(marginal_wasserstein(draws, reference)) == pytest.approx(float(expected))
    doubled = marginal_wasserstein(draws.repeat(2), reference)
    assert float(doubled) == pytest.approx(float(expected))


def test_samples_of_one_distribution_are_not_told_apart():
    # Three standard errors of 0.35 / sqrt(800).
    assert c2st(torch.randn(800, 2), torch.randn(900, 2)) == pytest.approx(0.5, abs=0.037)


def test_samples_that_do_not_overlap_are():
    one = torch.randn(200, 1, 2)
    assert c2st(one, one + 20) == 1.0


def test_state_of_torch_stays_as_it_was():
    before = torch.get_rng_state()
    one, other = torch.zeros(20, 1), torch.ones(20, 1)
    assert c2st(one, other, seed=3) == c2st(one, other, seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shrunken_posterior_is_told_from_the_exact_one():
    model, data, guide, exact = random_effects(groups=4)
    settle(guide, exact)
    reference = exact.mean + exact.sd * torch.randn(1000, 2, dtype=torch.float64)
    draws = pavi.Posterior(guide, data).sample("mu", draws=1000)
    shrunken = exact.mean + (draws - exact.mean) / 2
    # By the best classifier the widths one and one half in two dimensions are told apart in 0.736
    # of all cases: it draws the line where the densities cross.
    assert c2st(draws, reference) == pytest.approx(0.5, abs=0.035)
    assert c2st(shrunken, reference) == pytest.approx(0.736, abs=0.035)
    # And |z - z / 2| is 0.4 on average.
    assert marginal_wasserstein(draws, reference).max() < 0.11
    assert marginal_wasserstein(shrunken, reference).min() > 0.3


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda x: c2st(x, x[:, :1]), r"same shape .*, got \(30, 2\) and \(30, 1\)"),
        (lambda x: c2st(x, x, folds=1), "folds must be two or more .* got folds=1"),
        (lambda x: c2st(x, x[:3]), "got folds=5 and 30 and 3 draws"),
        (lambda x: marginal_wasserstein(x, x[:, 0]), "same shape"),
        (lambda x: marginal_wasserstein(x, 0 * x), "does not vary in some coordinate"),
    ],
)
def test_samples_that_cannot_be_compared(ask, message):
    with pytest.raises(ValueError, match=message):
        ask(torch.randn(30, 2))
