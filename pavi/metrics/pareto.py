r"""How heavy the tail of importance weights is: Pareto k-hat, for many rows at once.

The largest of many weights above a cut follow a generalised Pareto distribution

.. math:: p(w) \propto \Big(1 + k \frac{w - u}{\sigma}\Big)^{-1 / k - 1}, \qquad w > u,

whose shape `k` says what they are good for: weights have a finite variance below one half and a
finite mean below one, and averages over `S` of them become useless beyond
:math:`\min(1 - 1 / \log_{10} S,\ 0.7)`.

The fit is a posterior mean over a grid of :math:`b = -k / \sigma`: given `b` the likelihood is
largest at :math:`k(b) = \frac1n \sum_i \log(1 - b x_i)` for exceedances :math:`x_i = w_i - u`,
where it is :math:`\ell(b) = n (\log(-b / k(b)) - k(b) - 1)`.

**Constant weights** have no tail to fit. They are what a guide that is the posterior gives, and
their k-hat is minus infinity: a bounded variable has a negative `k`, the more so the closer its
bound, and no weight exceeds another here.

Reference:
    Zhang and Stephens (2009), A new and efficient estimation method for the generalized Pareto
    distribution. Vehtari, Simpson, Gelman, Yao and Gabry (2024), Pareto smoothed importance
    sampling, JMLR, for its use on weights, the threshold and the prior of the shape.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Log weights that differ by less are equal up to the rounding of single precision, in which they
# are sums over thousands of rows; and no use of weights tells them apart.
CONSTANT = 1e-3
# The fit is drawn to one half as by ten more exceedances, which steadies it where these are few.
PRIOR_SHAPE, PRIOR_COUNT = 0.5, 10
LEAST_DRAWS = 25


def pareto_khat(log_weights: Tensor) -> Tensor:
    """The Pareto shape of importance weights, row by row.

    Args:
        log_weights: Log of target over proposal, up to a constant, `(draws, *rows)`; draws are
            from the proposal. Minus infinity, where the target has no density, is a weight of
            zero.

    Returns:
        k-hat, `(*rows,)` in float64: minus infinity where the weights are all equal, infinity
        where one is not a number or infinite, or all are zero.

    Raises:
        ValueError: If there are fewer than 25 draws.

    Example:
        >>> weights = -0.3 * torch.log1p(-torch.linspace(0, 1, 4001)[:-1].double())
        >>> f"{pareto_khat(weights):.1f}"
        '0.3'
    """
    draws = len(log_weights)
    if draws < LEAST_DRAWS:
        raise ValueError(
            f"a Pareto fit needs {LEAST_DRAWS} draws or more, got {draws}; raise draws."
        )
    flat = log_weights.double().reshape(draws, -1)
    # The largest is finite unless one is not a number or infinite, or all are zero.
    usable = flat.amax(0).isfinite()
    tail = _tail(torch.where(usable, flat, 0.0))
    count = len(tail.exceedances)
    shape = (count * tail.shape + PRIOR_COUNT * PRIOR_SHAPE) / (count + PRIOR_COUNT)
    shape = torch.where(tail.constant, -math.inf, shape)
    return torch.where(usable, shape, math.inf).reshape(log_weights.shape[1:])


def pareto_smoothed(log_weights: Tensor) -> tuple[Tensor, float]:
    r"""Normalised log weights, the largest replaced by quantiles of what fits them, and k-hat.

    .. math:: w_{(i)} \leftarrow \min\Big(u + \frac{\sigma}{k}
        \Big[\Big(1 - \frac{i - 1/2}{n}\Big)^{-k} - 1\Big], \max_s w_s\Big),
        \qquad i = 1, \dots, n .

    Args:
        log_weights: Log of target over proposal, up to a constant, `(draws,)`; finite, or minus
            infinity for some.

    Returns:
        Log weights, of weights that sum to one, and their k-hat; as they are, with a k-hat of
        minus infinity where they are all equal and of infinity where next to one the others are
        nothing.

    Raises:
        ValueError: If there are fewer than 25 draws.
    """
    log_weights = log_weights.double()
    khat = float(pareto_khat(log_weights))
    plain = log_weights - log_weights.logsumexp(0)
    if khat == -math.inf:
        return plain, khat
    top = log_weights.max()
    tail = _tail(log_weights.unsqueeze(-1))
    count = len(tail.exceedances)
    places = (torch.arange(count, dtype=torch.float64) + 0.5) / count
    quantiles = tail.cut + tail.scale * torch.expm1(-khat * torch.log1p(-places)) / khat
    found = log_weights - top
    smooth = quantiles.log().clamp(max=0.0)
    found[tail.draws.squeeze(-1)] = smooth
    found = found - found.logsumexp(0)
    if float(tail.cut) == 0.0 or not (math.isfinite(khat) and bool(smooth.isfinite().all())):
        # Beside the largest weight most of the tail is zero in double precision.
        return plain, math.inf
    return found, khat


def khat_threshold(draws: int) -> float:
    """The k-hat from which averages over so many weighted draws are not to be trusted."""
    return min(1 - 1 / math.log10(draws), 0.7)


class _Tail(NamedTuple):
    """The largest weights of every row, in units of the largest, and what fits them.

    Args:
        draws: Which they are, ascending, `(count, rows)`.
        cut: The largest of the others, `(rows,)`.
        exceedances: By how much they exceed it, ascending, `(count, rows)`.
        shape: Of the generalised Pareto distribution, before it is drawn to one half, `(rows,)`.
        scale: Its scale, `(rows,)`.
        constant: Where there is no tail to fit, `(rows,)`.
    """

    draws: Tensor
    cut: Tensor
    exceedances: Tensor
    shape: Tensor
    scale: Tensor
    constant: Tensor


def _tail(log_weights: Tensor) -> _Tail:
    """The tail of finite log weights, `(draws, rows)`."""
    draws = len(log_weights)
    count = math.ceil(min(0.2 * draws, 3 * math.sqrt(draws)))
    log_weights = log_weights - log_weights.amax(0)
    largest, places = log_weights.topk(count + 1, dim=0)
    constant = log_weights.amin(0) > -CONSTANT
    cut = largest[-1].exp()
    exceedances = (largest[:-1].exp() - cut).flip(0)
    # Ties of the whole tail with the cut leave nothing to fit: the weights are bounded there.
    constant = constant | (exceedances[-1] <= 0)
    exceedances = torch.where(constant, torch.ones_like(exceedances), exceedances)
    shape, scale = _fit(exceedances.clamp(min=torch.finfo(torch.float64).tiny))
    return _Tail(places[:-1].flip(0), cut, exceedances, shape, scale, constant)


def _fit(exceedances: Tensor) -> tuple[Tensor, Tensor]:
    """Shape and scale of a generalised Pareto distribution, per column, ascending."""
    count = len(exceedances)
    quartile = exceedances[int(count / 4 + 0.5) - 1]
    size = 30 + int(math.sqrt(count))
    points = torch.arange(1, size + 1, dtype=exceedances.dtype)
    steps = (1 - (size / (points - 0.5)).sqrt()).unsqueeze(-1)
    grid = 1 / exceedances[-1] + steps / (3 * quartile)
    # Point by point: all at once would hold draws by points by rows.
    shapes = torch.stack([torch.log1p(-b * exceedances).mean(0) for b in grid])
    likelihood = count * ((-grid / shapes).log() - shapes - 1)
    best = (grid * likelihood.softmax(0)).sum(0)
    shape = torch.log1p(-best * exceedances).mean(0)
    return shape, -shape / best
