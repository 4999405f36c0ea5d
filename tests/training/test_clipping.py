"""Clipping: like torch's by the norm, and by the recent norm as the recurrence says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import embedding
from torch.testing import assert_close

from pavi.training.clipping import GradientClipping

NORMS = [3.0, 50.0, 0.02, 4.0, 1e3, 2.0, 1e-5, 1.0, 8.0]


def with_gradients(*, sparse):
    """A weight, and a table of which one row is looked up twice."""
    weight, table = nn.Parameter(torch.arange(3.0)), nn.Parameter(torch.ones(5, 2))
    rows = embedding(torch.tensor([4, 1, 4]), table, sparse=sparse)
    (weight.square().sum() + rows.square().sum()).backward()
    return [weight, table]


def dense(parameters):
    return [p.grad.to_dense() for p in parameters]


def clipped(clipping, norm):
    """The norm that is left of a gradient of this norm."""
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([0.6, -0.8]) * norm
    assert_close(clipping([parameter]), torch.tensor(norm))
    return float(parameter.grad.norm())


@pytest.mark.parametrize("max_norm", [0.1, 2.0, 100.0])
def test_dense_and_sparse_gradients_are_scaled_together_as_by_torch(max_norm):
    ours, theirs = with_gradients(sparse=True), with_gradients(sparse=False)
    norm = GradientClipping(spike=None, max_norm=max_norm)(ours)
    assert_close(norm, nn.utils.clip_grad_norm_(theirs, max_norm))
    assert ours[1].grad.is_sparse
    assert_close(dense(ours), dense(theirs))


@pytest.mark.parametrize("spike", [1.2, 3.0])
@pytest.mark.parametrize("max_norm", [None, 5.0])
def test_spikes_are_clipped_by_the_recurrence(spike, max_norm):
    clipping = GradientClipping(spike=spike, max_norm=max_norm)
    memory = math.inf
    for norm in NORMS:
        expected = min(norm, spike * memory, max_norm or math.inf)
        assert clipped(clipping, norm) == pytest.approx(expected, rel=1e-4)
        if memory == math.inf:
            memory = expected
        elif expected > 0.03 * memory:
            memory = math.sqrt(0.9 * memory**2 + 0.1 * expected**2)
        assert float(clipping.recent) == pytest.approx(memory, rel=1e-4)


def test_the_first_step_is_no_spike():
    clipping = GradientClipping(spike=1.2, max_norm=None)
    assert clipped(clipping, 1e6) == pytest.approx(1e6)
    assert clipped(clipping, 1e8) == pytest.approx(1.2e6)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("earlier", [[], [2.0]])
def test_a_norm_that_is_not_finite_changes_nothing(value, earlier):
    clipping = GradientClipping(spike=1.2, max_norm=1.0)
    for norm in earlier:
        clipped(clipping, norm)
    memory = clipping.recent.clone()
    parameters = with_gradients(sparse=True)
    parameters[0].grad[1] = value
    before = dense(parameters)
    assert not clipping(parameters).isfinite()
    assert_close(dense(parameters), before, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(clipping.recent, memory)


def test_what_it_remembers_is_saved():
    first, second = (GradientClipping(spike=1.2, max_norm=None) for _ in range(2))
    for norm in NORMS[:3]:
        clipped(first, norm)
    second.load_state_dict(first.state_dict())
    for norm in NORMS[3:]:
        assert clipped(second, norm) == clipped(first, norm)


def test_without_limits_nothing_is_clipped():
    clipping = GradientClipping(spike=None, max_norm=None)
    assert [clipped(clipping, norm) for norm in NORMS] == pytest.approx(NORMS)


def test_a_batch_that_says_nothing_is_not_remembered():
    parameter = nn.Parameter(torch.zeros(1))
    clipping = GradientClipping(spike=1.2, max_norm=None)
    for size in (0.0, 1.0, 0.0, 1e-9, 1.0):
        parameter.grad = torch.tensor([size])
        clipping([parameter])
    assert parameter.grad.item() == 1.0
    assert clipping.recent.item() == 1.0


def test_squares_do_not_overflow():
    weight = nn.Parameter(torch.zeros(3))
    weight.grad = torch.tensor([3e30, 4e30, 0.0])
    norm = GradientClipping(spike=None, max_norm=5.0)([weight])
    assert float(norm) == pytest.approx(5e30)
    assert_close(weight.grad, torch.tensor([3.0, 4.0, 0.0]))


def test_what_it_remembers_does_not_overflow():
    weight = nn.Parameter(torch.zeros(2))
    clipping = GradientClipping(spike=1.2, max_norm=None)
    weight.grad = torch.tensor([1e20, 0.0])
    clipping([weight])
    assert float(clipping.recent) == pytest.approx(1e20)
    weight.grad = torch.tensor([1e25, 0.0])
    clipping([weight])
    assert float(weight.grad[0]) == pytest.approx(1.2e20)


def test_a_spike_at_the_start_is_forgotten():
    clipping = GradientClipping(spike=1.2, max_norm=None)
    clipped(clipping, 1e8)
    for _ in range(9):
        clipped(clipping, 2.0)
    assert float(clipping.recent) == pytest.approx(1e8)
    clipped(clipping, 2.0)
    assert float(clipping.recent) == pytest.approx(2.0)
    assert clipped(clipping, 500.0) == pytest.approx(2.4)


def test_few_silent_batches_are_no_new_size():
    clipping = GradientClipping(spike=1.2, max_norm=None)
    for _ in range(5):
        clipped(clipping, 1.0)
        for _ in range(9):
            clipped(clipping, 1e-3)
    assert float(clipping.recent) == pytest.approx(1.0)
