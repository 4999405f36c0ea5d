"""The highway flow: its inverse, its log-determinant, and what a gate of one leaves."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from pavi.guides.highway import HighwayShape

SHAPE = HighwayShape(dim=2, auxiliary=3, gate=0.5)


@pytest.fixture
def flow():
    return SHAPE.flow(0.7 * torch.randn(4, sum(SHAPE.sizes), dtype=torch.float64))


def jacobians(function, points):
    """Of a function of rows, `(rows, width, width)`."""
    whole = torch.autograd.functional.jacobian(function, points)
    return torch.einsum("riRj->rRij", whole).diagonal().permute(2, 0, 1)


def test_the_log_determinant_is_that_of_autograd(flow):
    x = torch.randn(4, 5, dtype=torch.float64)
    _, log_det = flow.forward(x)
    jacobian = jacobians(lambda x: flow.forward(x)[0], x)
    assert_close(log_det, torch.linalg.slogdet(jacobian).logabsdet)


def test_the_inverse_has_the_value_and_the_derivative_of_the_inverse(flow):
    x = torch.randn(4, 5, dtype=torch.float64)
    y, log_det = flow.forward(x)
    back, log_det_back = flow.inverse(y, at=x)
    assert_close(back, x)
    assert_close(log_det_back, log_det)
    forward = jacobians(lambda x: flow.forward(x)[0], x)
    inverse = jacobians(lambda y: flow.inverse(y, at=x)[0], y)
    assert_close(inverse @ forward, torch.eye(5, dtype=torch.float64).expand(4, 5, 5))


def test_the_inverse_carries_the_slope_of_the_log_determinant(flow):
    x = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    y, log_det = flow.forward(x)
    (expected,) = torch.autograd.grad(log_det.sum(), x, retain_graph=True)
    (found,) = torch.autograd.grad(flow.inverse(y, at=x.detach())[1].sum(), x)
    assert_close(found, expected)


def test_unbending_finds_the_root(flow):
    y = torch.linspace(-3, 3, 8, dtype=torch.float64).reshape(4, 2)
    assert_close(flow._bend(flow.unbend(y)), y)


def test_a_gate_of_one_leaves_the_dimensions_of_the_model():
    numbers = torch.randn(4, sum(SHAPE.sizes), dtype=torch.float64)
    numbers[:, SHAPE.width] = 800.0  # the logit of the gate
    x = torch.randn(4, 5, dtype=torch.float64)
    y, _ = SHAPE.flow(numbers).forward(x)
    assert torch.equal(y[:, :2], x[:, :2])
    assert (y[:, 2:] != x[:, 2:]).all()
