"""Which row of another plate each row of a site looks up, read off derivatives."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# How far a quotient of two derivatives may lie from a whole number.
TOLERANCE = 0.01


def link(
    parameters: Callable[[Tensor], tuple[Tensor, ...]], value: Tensor, *, axis: int
) -> Tensor | None:
    r"""The row that each row of some parameters depends on.

    If parameter `n` depends on row `r(n)` alone, its derivatives in the directions
    :math:`(1, 1, \dots)` and :math:`(1, 2, \dots)` differ by the factor :math:`r(n) + 1`.

    Args:
        parameters: From the parent's value to parameters `(rows, ...)`.
        value: The parent's value, where to differentiate.
        axis: Of the value that holds the rows looked up.

    Returns:
        `(rows,)`, or None where a row depends on none or on several.
    """
    numbers = torch.arange(1, value.shape[axis] + 1, dtype=value.dtype)
    shape = [1] * value.ndim
    shape[axis] = -1
    ones = torch.ones_like(value)
    _, plain = torch.autograd.functional.jvp(parameters, value, ones)
    weights = ones * numbers.reshape(shape)
    _, weighted = torch.autograd.functional.jvp(parameters, value, weights)
    rows = plain[0].shape[0]
    one = torch.cat([t.reshape(rows, -1) for t in plain], 1)
    two = torch.cat([t.reshape(rows, -1) for t in weighted], 1)
    at = one.abs().argmax(1, keepdim=True)
    quotient = (two.gather(1, at) / one.gather(1, at)).squeeze(1)
    found = quotient.round()
    inside = (found >= 1) & (found <= value.shape[axis])
    if not bool((inside & ((quotient - found).abs() <= TOLERANCE)).all()):
        return None
    return found.long() - 1
