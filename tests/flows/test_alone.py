"""Sites with one ground variable: correlated with each other in units of their widths."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev

from pavi.flows import AffineFlow, FlowContext
from pavi.flows.affine import LOG_GAIN_BOUND

SITES, CORRELATION = 5, 0.7


def chain(log_width):
    """Sites one after the other, each correlated with all before, and of the same width."""
    flows = []
    for upstream in range(SITES):
        flow = AffineFlow().build(dim=1, upstream=upstream, encoding=3).double()
        flow.set_reference(torch.zeros(1), torch.ones(1))
        flow.keep_apart()
        gain = torch.tensor(-2.0 * log_width / LOG_GAIN_BOUND, dtype=torch.float64)
        with torch.no_grad():
            flow.head.bias[1] = LOG_GAIN_BOUND * torch.atanh(gain)
            flow.head.bias[2 : 2 + upstream] = CORRELATION
        flows.append(flow)
    return flows


def context(noise):
    zeros = torch.zeros(1, 1, dtype=torch.float64)
    return FlowContext(
        encoding=torch.zeros(3, dtype=torch.float64),
        upstream=noise.view(1, -1),
        location=zeros,
        scale=zeros + 1,
        relative_scale=None,
    )


def values(flows, noise):
    found = [
        flow(noise[n].view(1, 1), context(noise[:n]))[0].view(()) for n, flow in enumerate(flows)
    ]
    return torch.stack(found)


def noise_of(flows, given):
    """Each site's noise, of the values and of the noise of those before."""
    found = torch.zeros(0, dtype=torch.float64)
    for flow, value in zip(flows, given, strict=True):
        one = flow.inverse(value.view(1, 1), context(found))[0].view(1)
        found = torch.cat([found, one])
    return found


@pytest.mark.parametrize("log_width", [0.0, -3.0, -7.0])
def test_correlations_are_the_same_at_every_width(log_width):
    flows = chain(log_width)
    jacobian = jacrev(lambda noise: values(flows, noise))(torch.zeros(SITES).double())
    expected = torch.full((SITES, SITES), CORRELATION, dtype=torch.float64).tril(-1)
    expected += torch.eye(SITES, dtype=torch.float64)
    torch.testing.assert_close(jacobian, torch.exp(torch.tensor(log_width)).double() * expected)


@pytest.mark.parametrize("log_width", [0.0, -3.0, -7.0])
def test_narrow_values_do_not_make_what_noise_they_came_from_uncertain(log_width):
    """The path gradient goes through this map, from each site to the next."""
    narrow, wide = chain(log_width), chain(0.0)
    noise = torch.linspace(-1.0, 1.0, SITES, dtype=torch.float64)
    given = values(narrow, noise)
    torch.testing.assert_close(noise_of(narrow, given), noise)
    sensitivity = jacrev(lambda value: noise_of(narrow, value))(given)
    at_one = jacrev(lambda value: noise_of(wide, value))(values(wide, noise))
    torch.testing.assert_close(
        torch.exp(torch.tensor(log_width)).double() * sensitivity, at_one, rtol=1e-6, atol=1e-9
    )
