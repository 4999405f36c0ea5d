"""Hamiltonian Monte Carlo leaves its target as it is, and its choices are checked."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from pavi.guides import HMC


def test_chains_that_start_in_the_target_stay_and_move():
    scales = torch.tensor([0.5, 2.0], dtype=torch.float64)
    start = 1.0 + scales * torch.randn(20_000, 2, dtype=torch.float64)

    def log_density(state):
        return -0.5 * ((state - 1.0) / scales).square().sum(-1)

    # A step so large that leaving out the acceptance step widens the first dimension.
    hmc = HMC(burn_in=2, samples=3, leapfrog=3, step_size=0.7)
    samples = list(hmc.chain(log_density, start, generator=torch.Generator().manual_seed(0)))
    assert len(samples) == 3
    last = samples[-1]
    # Five standard errors of 20,000 independent chains.
    assert_close(last.mean(0), torch.ones_like(scales), rtol=0, atol=5 * 2.0 / 20_000**0.5)
    assert_close(last.std(0), scales, rtol=5 / 40_000**0.5, atol=0)
    moved = (last != start).all(-1).double().mean()
    assert moved > 0.9
    correlation = torch.corrcoef(torch.stack([last[:, 0], start[:, 0]]))[0, 1]
    assert abs(correlation) < 0.5


def test_a_proposal_that_is_not_finite_is_refused():
    start = torch.zeros(3, 1)
    chain = HMC(burn_in=0, samples=1, step_size=1e30).chain(
        lambda state: -state.square().sum(-1), start, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(next(chain), start)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"burn_in": -1}, "burn_in must be at least 0, got -1"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"leapfrog": 0}, "leapfrog must be at least 1"),
        ({"step_size": 0.0}, "step_size must be positive, got 0.0"),
    ],
)
def test_choices_out_of_range_are_refused(choices, message):
    with pytest.raises(ValueError, match=message):
        HMC(**choices)
