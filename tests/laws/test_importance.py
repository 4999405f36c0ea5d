"""The importance-weighted bound lies between the ELBO and the evidence, and tends to the latter."""

from __future__ import annotations

import pytest
import torch
from laws.exact_gre import random_effects, settle

from pavi.metrics import full_elbo, importance_bound


@pytest.fixture
def problem():
    """A guide at the exact posterior."""
    _, data, guide, exact = random_effects(groups=4)
    settle(guide, exact)
    return data, guide, exact.log_evidence


@pytest.mark.parametrize("draws", [2, 4, 64])
def test_at_the_posterior_it_is_the_evidence_for_every_number_of_draws(problem, draws):
    data, guide, evidence = problem
    found = importance_bound(guide, data, draws=draws, blocks=2, at_once=3)
    assert found.bound == pytest.approx(evidence, rel=1e-7)
    assert found.elbo == pytest.approx(evidence, rel=1e-7)
    assert found.effective_sample_size == pytest.approx(draws)
    assert found.standard_error < 1e-9


@pytest.fixture
def wrong(problem):
    """A guide whose group means are shifted and a bit wide."""
    data, guide, evidence = problem
    with torch.no_grad():
        guide.encoder._tables["mu_g"][:, 0] += 0.2
        guide.encoder._tables["mu_g"][:, 2:4] -= 0.2
    return data, guide, evidence


def test_bounds_are_in_order(wrong):
    data, guide, _ = wrong
    found = importance_bound(guide, data, draws=400, blocks=20)
    # Jensen, for these very draws: mean of logs, mean of the blocks' bounds, bound of all.
    assert found.elbo < sum(found.blocks) / 20 < found.bound
    assert 1 < found.effective_sample_size < 400


def test_it_tends_to_the_evidence(wrong):
    data, guide, evidence = wrong
    gap = evidence - full_elbo(guide, data, draws=4000).mean
    few = importance_bound(guide, data, draws=200, blocks=200 // 2, seed=1)
    many = importance_bound(guide, data, draws=20_000, at_once=2000, seed=2)
    assert gap > 0.3
    assert sum(few.blocks) / 100 < evidence - gap / 3
    # The block estimate of the error has 19 degrees of freedom; 4 errors are as 3.3 normal ones.
    assert abs(many.bound - evidence) < 4 * many.standard_error < gap / 5


def test_the_number_held_at_once_changes_the_noise_only(wrong):
    data, guide, _ = wrong
    one, other = (
        importance_bound(guide, data, draws=4000, blocks=4, at_once=n) for n in (1000, 300)
    )
    assert one.blocks != other.blocks
    assert one.bound == pytest.approx(other.bound, abs=0.2)  # errors of some 0.02 each
    assert one == importance_bound(guide, data, draws=4000, blocks=4, at_once=1000)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"draws": 30}, "multiple of blocks.*got draws=30, blocks=20"),
        ({"draws": 10, "blocks": 1}, "got draws=10, blocks=1"),
        ({"draws": 0}, "got draws=0"),
        ({"draws": 20, "at_once": 0}, "at_once must be positive, got 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(problem, arguments, message):
    data, guide, _ = problem
    with pytest.raises(ValueError, match=message):
        importance_bound(guide, data, **arguments)
