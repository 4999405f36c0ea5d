"""Every flow: inverse, log-determinant against autograd, its start, live gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.func import jacrev

from pavi.flows import (
    AffineFlow,
    ASVIFlow,
    BranchFlow,
    CouplingFlow,
    EncodedFlow,
    FlowContext,
    GaussianFlow,
    InstanceFlow,
    MAFFlow,
    NSFFlow,
)

# Their rows also hold weights that are masked out, or whose unit is off for all noise.
MASKED = [
    InstanceFlow(MAFFlow(transforms=1, hidden=(4,))),
    InstanceFlow(NSFFlow(hidden=(4,), bins=3)),
    InstanceFlow(CouplingFlow(hidden=(4,))),
]
FOLLOW_THE_PRIOR = [
    AffineFlow(),
    AffineFlow(full=True),
    AffineFlow(full=True, direct=True),
    CouplingFlow(),
    MAFFlow(),
    MAFFlow(full=True),
    NSFFlow(),
    InstanceFlow(AffineFlow(full=True)),
    *MASKED,
]
DO_NOT = [
    GaussianFlow(),
    GaussianFlow(full=True),
    ASVIFlow(),
    ASVIFlow(start=0.9),
    BranchFlow(hidden=4),
    EncodedFlow(hidden=(8,)),
]
FLOWS = FOLLOW_THE_PRIOR + DO_NOT
DRAWS, ROWS, ENCODING = 5, 3, 12


@pytest.fixture(params=FLOWS, ids=repr)
def choice(request):
    return request.param


def build(choice, dim, upstream, *, fitted):
    encoding = choice.encoding_dim(dim=dim, upstream=upstream) or ENCODING
    flow = choice.build(dim=dim, upstream=upstream, encoding=encoding).double()
    flow.set_reference(torch.linspace(-1, 1, dim), torch.linspace(0.5, 2, dim))
    if fitted:
        for parameter in flow.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    scale = torch.rand(DRAWS, ROWS, dim, dtype=torch.float64) + 0.5
    context = FlowContext(
        encoding=torch.randn(ROWS, encoding, dtype=torch.float64) * 0.5 * fitted,
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
def test_a_zero_encoding_is_the_start(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=False)
    value, log_det = flow(noise, context)
    location, scale = flow.start(context)
    torch.testing.assert_close(value, location + scale * noise)
    torch.testing.assert_close(log_det, scale.log().sum(-1).expand(log_det.shape))
    if choice in FOLLOW_THE_PRIOR:
        assert location is context.location
        assert scale is context.scale


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_the_first_coordinates_move_the_location_by_typical_scales(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=False)
    # The typical scale of the prior is that of this one, so that evidence counts as it does.
    context = replace(context, relative_scale=None)
    before, _ = flow(noise, context)
    context.encoding[:, :dim] = torch.linspace(-0.5, 0.7, dim)
    after, _ = flow(noise, context)
    moved = flow.reference()[1] * context.encoding[:, :dim]
    torch.testing.assert_close(after - before, moved.expand(after.shape))


@pytest.mark.parametrize(("dim", "upstream"), SHAPES)
def test_gradients_reach_every_parameter_or_coefficient(choice, dim, upstream):
    flow, context, noise = build(choice, dim, upstream, fitted=True)
    context.encoding.requires_grad_()
    value, log_det = flow(noise, context)
    (value.square().sum() + log_det.sum()).backward()
    dead = [n for n, p in flow.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []
    if choice.encoding_dim(dim=dim, upstream=upstream) is not None:
        # What rows still share is how many upstream values become few.
        assert {name for name, _ in flow.named_parameters()} <= {"project.weight"}
        if choice not in MASKED:
            assert context.encoding.grad.any(0).all()
