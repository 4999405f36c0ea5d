r"""The log density of a Gaussian in a third of the passes over memory.

.. math:: \log N(x; \mu, \sigma^2) = -\tfrac12 z^2 - \log \sigma - \tfrac12 \log 2\pi,
    \qquad z = \frac{x - \mu}{\sigma}

Torch squares the scale, takes its logarithm and differentiates both at every row of the data,
though a model has a handful of scales; a Gaussian likelihood is then most of a step. Here the
logarithm is taken where the scale differs, and the derivatives are written out,

.. math:: \partial_x = -\partial_\mu = -\frac{z}{\sigma}, \qquad
    \partial_\sigma = \frac{z^2 - 1}{\sigma}.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

HALF_LOG_TWO_PI = 0.5 * math.log(2 * math.pi)


def normal_log_density(value: Tensor, location: Tensor, scale: Tensor) -> Tensor:
    """The log density, of the shape to which the three broadcast."""
    parts = torch.broadcast_tensors(value, location, scale)
    density, _ = _LogDensity.apply(*parts)  # type: ignore[no-untyped-call]
    result: Tensor = density
    return result


class _LogDensity(torch.autograd.Function):
    """Returns `z` too, so that the backward pass can be differentiated again."""

    @staticmethod
    def forward(value: Tensor, location: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        z = (value - location) / scale
        return torch.addcmul(-_once(scale).log() - HALF_LOG_TWO_PI, z, z, value=-0.5), z

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(inputs[2], output[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, ...]:
        scale, z = ctx.saved_tensors
        of_density, of_z = gradients
        by_z = of_z
        if of_density is not None:
            by_z = -of_density * z if of_z is None else of_z - of_density * z
        if by_z is None:
            return None, None, None
        by_value = by_location = by_scale = None
        if ctx.needs_input_grad[0] or ctx.needs_input_grad[1]:
            by_value = by_z / scale
            by_location = -by_value if ctx.needs_input_grad[1] else None
        if ctx.needs_input_grad[2]:
            total = by_z * z if of_density is None else torch.addcmul(of_density, by_z, z)
            by_scale = -total / scale
        return by_value, by_location, by_scale


def _once(expanded: Tensor) -> Tensor:
    """A tensor without the copies that broadcasting made along its axes."""
    narrow = expanded
    for axis, stride in enumerate(expanded.stride()):
        if stride == 0:
            narrow = narrow.narrow(axis, 0, min(1, expanded.shape[axis]))
    return narrow
