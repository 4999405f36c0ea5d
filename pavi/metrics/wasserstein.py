r"""The Wasserstein-1 distance of marginals, in standard deviations of a reference.

.. math:: W_1(F, G) = \int |F(x) - G(x)|\, dx
"""

from __future__ import annotations

import torch
from torch import Tensor


def marginal_wasserstein(draws: Tensor, reference: Tensor) -> Tensor:
    """The distance of the marginals of two samples, coordinate by coordinate.

    Two samples of `n` draws from the same normal differ by some `1.1 / sqrt(n)`.

    Args:
        draws: Of the posterior, `(draws, *rest)`.
        reference: Of the reference, as many or not, `(reference draws, *rest)`.

    Returns:
        In standard deviations of the reference, `(*rest,)` in float64.

    Raises:
        ValueError: If the shapes differ after the first axis, or the reference does not vary.

    Example:
        >>> float(marginal_wasserstein(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 3.0, 2.0])))
        0.5
    """
    if draws.shape[1:] != reference.shape[1:]:
        raise ValueError(
            "draws and reference must have the same shape after their first axis, got "
            f"{tuple(draws.shape)} and {tuple(reference.shape)}."
        )
    # One row per coordinate, which is what searchsorted reads.
    one, other = (
        x.double().reshape(len(x), -1).T.contiguous().sort(1).values for x in (draws, reference)
    )
    sd = other.std(1)
    if not (sd > 0).all():
        raise ValueError(
            "the reference does not vary in some coordinate, so that there is no standard "
            "deviation to measure in; leave that coordinate out."
        )
    points = torch.cat([one, other], 1).sort(1).values
    below = [
        torch.searchsorted(x, points[:, :-1].contiguous(), right=True).double() / x.shape[1]
        for x in (one, other)
    ]
    area = ((below[0] - below[1]).abs() * points.diff(dim=1)).sum(1)
    return (area / sd).reshape(draws.shape[1:])
