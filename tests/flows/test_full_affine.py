"""The full affine flow against Bayes' rule for correlated data and priors of any scale."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import jacrev

from pavi.flows import AffineFlow, FlowContext
from pavi.flows.affine import LOG_GAIN_BOUND

TYPICAL = torch.tensor([0.5, 2.0], dtype=torch.float64)
# The precision of the data about the two dimensions, strongly correlated.
PRECISION = torch.tensor([[40.0, 15.0], [15.0, 8.0]], dtype=torch.float64)


def posterior_covariance(scale):
    return torch.linalg.inv(PRECISION + torch.diag(scale**-2))


def flow_at_the_posterior():
    """The flow whose coefficients give the posterior under the typical prior."""
    covariance = posterior_covariance(TYPICAL)
    slope = covariance[1, 0] / covariance[0, 0]
    widths = torch.stack([covariance[0, 0], covariance[1, 1] - slope * covariance[1, 0]]).sqrt()
    gains = 2 * (TYPICAL / widths).log()
    bounded = LOG_GAIN_BOUND * torch.atanh(gains / LOG_GAIN_BOUND)
    mixing = slope * widths[0] / widths[1]
    coefficients = torch.cat([torch.zeros(2, dtype=torch.float64), bounded, mixing[None]])
    flow = AffineFlow(full=True, direct=True).build(dim=2, upstream=0, encoding=5).double()
    flow.set_reference(torch.zeros(2), TYPICAL)
    return flow, coefficients


def covariance(scale):
    """Of the flow's values under a prior of some scale."""
    flow, coefficients = flow_at_the_posterior()
    context = FlowContext(
        encoding=coefficients,
        upstream=torch.zeros(1, 0, dtype=torch.float64),
        location=torch.zeros(1, 2, dtype=torch.float64),
        scale=scale[None],
        relative_scale=(scale / TYPICAL)[None],
    )
    jacobian = jacrev(lambda noise: flow(noise[None], context)[0][0])(torch.zeros(2).double())
    return jacobian @ jacobian.T


@pytest.mark.parametrize("factor", [1e-3, 0.2, 1.0, 5.0])
def test_a_dimension_moves_others_as_far_as_its_own_prior_lets_it(factor):
    """The first dimension's prior varies, as that of an effect with an uncertain scale."""
    scale = TYPICAL * torch.tensor([factor, 1.0], dtype=torch.float64)
    torch.testing.assert_close(covariance(scale), posterior_covariance(scale))


@pytest.mark.parametrize("factor", [1e-3, 0.2, 1.0, 5.0])
def test_a_dimension_is_moved_as_far_as_its_own_prior_lets_it(factor):
    scale = TYPICAL * torch.tensor([1.0, factor], dtype=torch.float64)
    found, exact = covariance(scale), posterior_covariance(scale)
    torch.testing.assert_close(found[1, 0] / found[0, 0], exact[1, 0] / exact[0, 0])
    given_first = found[1, 1] - found[1, 0] ** 2 / found[0, 0]
    expected = exact[1, 1] - exact[1, 0] ** 2 / exact[0, 0]
    assert math.isclose(given_first, expected, rel_tol=1e-6)
