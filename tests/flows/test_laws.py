"""Every flow: inverse, log-determinant against autograd, the prior at the start, live gradients."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev

from pavi.flows import AffineFlow, CouplingFlow, FlowContext, MAFFlow, NSFFlow

FLOWS = [AffineFlow(), AffineFlow(full=True), CouplingFlow(), MAFFlow(), NSFFlow()]
DRAWS, ROWS, ENCODING = 5, 3, 12


@pytest.fixture(params=FLOWS, ids=repr)
def choice(request):
    return request.param


def build(choice, dim, upstream, *, fitted):
    flow = choice.build(dim=dim, upstream=upstream, encoding=ENCODING).double()
    if fitted:
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    scale = torch.rand(DRAWS, ROWS, dim, dtype=torch.float64) + 0.5
    context = FlowContext(
        encoding=torch.randn(ROWS, ENCODING, dtype=torch.float64) * fitted,
        upstream=torch.randn(DRAWS, ROWS, upstream, dtype=torch.float64),
        location=torch.randn(DRAWS, ROWS, dim, dtype=torch.float64),
        scale=scale,
        relative_scale=scale / 0.8,
    )
    return flow, context, torch.randn(DRAWS, ROWS, dim, dtype=torch.float64)


# A dimension of one, no upstream, and more upstream than are coupled one by one.
SHAPES = [(1, 0), (1, 3), (3, 0), (3, 20)]


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_the_inverse_inverts(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=True)
    value, log_det = flow(noise, context)
    back, same = flow.inverse(value, context)
    # zuko inverts splines in float64 to about 1e-7.
    torch.testing.assert_close(back, noise, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(same, log_det, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_the_log_determinant_is_that_of_autograd(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=True)
    jacobian = jacrev(lambda n: flow(n, context)[0])(noise)
    for draw in range(DRAWS):
        for row in range(ROWS):
            own = jacobian[draw, row, :, draw, row]
            expected = torch.linalg.slogdet(own).logabsdet
            torch.testing.assert_close(flow(noise, context)[1][draw, row], expected)


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_the_start_is_the_prior(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=False)
    value, log_det = flow(noise, context)
    torch.testing.assert_close(value, context.location + context.scale * noise)
    torch.testing.assert_close(log_det, context.scale.log().sum(-1))


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_gradients_reach_every_parameter(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=True)
    value, log_det = flow(noise, context)
    (value.square().sum() + log_det.sum()).backward()
    dead = [n for n, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []
