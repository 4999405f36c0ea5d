"""The log density of a Gaussian against torch's, with first and second derivatives."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from pavi.core.distributions import log_density, unvalidated
from pavi.core.normal import normal_log_density

SHAPES = {
    "alike": ((3, 4), (3, 4), (3, 4)),
    "one scale a draw": ((1, 4), (3, 4), (3, 1)),
    "one scale": ((4,), (3, 4), ()),
    "no rows": ((1, 0), (3, 1), (3, 1)),
}


def parts_of(shapes):
    value, location, scale = (torch.randn(shape, dtype=torch.float64) for shape in shapes)
    return [part.requires_grad_() for part in (value, location, scale.exp().detach())]


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_values_and_gradients_are_those_of_torch(shapes):
    parts = parts_of(shapes)
    found = normal_log_density(*parts)
    expected = Normal(parts[1], parts[2]).log_prob(parts[0])
    assert_close(found, expected)
    weights = torch.randn_like(expected)
    for ours, theirs in zip(
        torch.autograd.grad((weights * found).sum(), parts),
        torch.autograd.grad((weights * expected).sum(), parts),
        strict=True,
    ):
        assert_close(ours, theirs)


@pytest.mark.parametrize("shapes", list(SHAPES.values())[:3], ids=list(SHAPES)[:3])
def test_the_gradient_can_be_differentiated_again(shapes):
    assert torch.autograd.gradgradcheck(normal_log_density, parts_of(shapes))


def test_a_scale_that_needs_no_gradient_gets_none():
    value, location, scale = parts_of(SHAPES["one scale"])
    normal_log_density(value.detach(), location, scale.detach()).sum().backward()
    assert_close(location.grad, ((value - location) / scale**2).detach())
    assert value.grad is None
    assert scale.grad is None


@pytest.mark.parametrize("axes", [0, 1, 2])
def test_axes_of_one_event_are_summed(axes):
    with unvalidated():
        distribution = Independent(Normal(torch.zeros(3, 4, 2), 2.0), axes)
    value = torch.randn(3, 4, 2)
    assert_close(log_density(distribution, value), distribution.log_prob(value))


def test_a_subclass_of_the_gaussian_has_the_density_that_it_says():
    class Halved(Normal):
        def log_prob(self, value):
            return super().log_prob(value) / 2

    with unvalidated():
        distribution = Halved(torch.zeros(3), 1.0)
    value = torch.randn(3)
    assert_close(log_density(distribution, value), distribution.log_prob(value))
