"""What the library asks of `torch.distributions`, beyond its own methods."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LKJCholesky,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
    constraints,
)
from torch.distributions.transforms import Transform

from pavi.core.normal import normal_log_density


@contextmanager
def unvalidated() -> Iterator[None]:
    """Build and evaluate distributions without checking their arguments, as a hot loop must.

    Templates are checked when they are built and data when they are read; a value that becomes
    non-finite later stops the training with the site's name.
    """
    before = Distribution._validate_args
    Distribution.set_default_validate_args(False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(before)


def cast(distribution: Distribution, like: Tensor) -> Distribution:
    """A copy whose parameters have the floating-point type and the device of `like`."""

    def convert(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(like) if value.is_floating_point() else value.to(like.device)
        return cast(value, like) if isinstance(value, Distribution) else value

    twin = copy.copy(distribution)
    vars(twin).update({name: convert(value) for name, value in vars(distribution).items()})
    return twin


def shaped(
    distribution: Distribution, batch_shape: tuple[int, ...], event_shape: tuple[int, ...]
) -> Distribution:
    """The distribution of independent values of `event_shape`, one per entry of `batch_shape`.

    Raises:
        ValueError: If the distribution does not broadcast to these shapes.
    """
    extra = len(event_shape) - len(distribution.event_shape)
    whole = torch.Size(batch_shape + event_shape)
    target = whole[: len(whole) - len(distribution.event_shape)]
    own = distribution.batch_shape + distribution.event_shape
    fits = extra >= 0 and distribution.event_shape == whole[len(target) :]
    if distribution.batch_shape != target:
        try:
            distribution = distribution.expand(target)
        except (RuntimeError, ValueError):
            fits = False
    if not fits:
        needed = tuple(distribution.event_shape)
        declare = (
            ""
            if needed == event_shape[extra:] and extra >= 0
            else (
                f"; a value of {type(distribution).__name__} has shape {needed}: declare "
                f"event_shape={needed}"
            )
        )
        raise ValueError(
            f"its distribution has shape {tuple(own)}, which does not broadcast to "
            f"{tuple(whole)} = (draws, *plates, *event_shape), with event_shape {event_shape}"
            f"{declare}"
        )
    return Independent(distribution, extra) if extra else distribution


def log_density(distribution: Distribution, value: Tensor) -> Tensor:
    """The log density of a value, `(*batch shape,)`."""
    if distribution._validate_args:
        return distribution.log_prob(value)
    if isinstance(distribution, Independent):
        density = log_density(distribution.base_dist, value)
        axes = range(-distribution.reinterpreted_batch_ndims, 0)
        return density.sum(tuple(axes)) if axes else density
    if type(distribution) is Normal:
        return normal_log_density(value, distribution.loc, distribution.scale)
    return distribution.log_prob(value)


def is_real(support: constraints.Constraint) -> bool:
    """Whether a support is all of R^d, so that no transform is needed."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support in (constraints.real, constraints.real_vector)


def support_of(distribution: Distribution) -> constraints.Constraint:
    """The support; torch allows a distribution not to say, which none that pavi takes does."""
    support = distribution.support
    assert support is not None
    return support


def location_and_scale(
    distribution: Distribution, transform: Transform | None
) -> tuple[Tensor, Tensor | None]:
    """Where a distribution lies in unconstrained space, and how wide it is.

    The location is exact for location-scale families (also under an exponential, as the
    log-normal); for others it is the mean or, where that does not exist, the median, taken to
    unconstrained space. It is a reference point, so any choice leaves the density of the guide
    exact.

    Args:
        distribution: With batch shape `(draws, *plates)`.
        transform: From unconstrained space to the support; None for the identity.

    Returns:
        The location, `(draws, *plates, *unconstrained event)`, and the scale of the same shape,
        or None where the family is not one of location and scale.
    """
    while isinstance(distribution, Independent):
        distribution = distribution.base_dist
    if isinstance(distribution, MultivariateNormal):
        return distribution.loc, distribution.variance.sqrt()
    if isinstance(distribution, TransformedDistribution):
        names = [type(step).__name__ for step in distribution.transforms]
        if names == ["ExpTransform"] and transform is not None:
            return location_and_scale(distribution.base_dist, None)
    elif transform is None and hasattr(distribution, "loc") and hasattr(distribution, "scale"):
        return distribution.loc, distribution.scale
    location = _center(distribution)
    return (location if transform is None else transform.inv(location)), None


def _center(distribution: Distribution) -> Tensor:
    """The mean; the median where there is none; where neither is known, that of the base moved.

    Of a correlation matrix it is the identity, in which the signs of an LKJ prior are even.
    """
    if isinstance(distribution, LKJCholesky):
        correlation = distribution.concentration
        identity = torch.eye(distribution.dim, dtype=correlation.dtype, device=correlation.device)
        return identity.expand(*distribution.batch_shape, *identity.shape)
    try:
        mean = distribution.mean
    except NotImplementedError:
        assert isinstance(distribution, TransformedDistribution)
        moved = _center(distribution.base_dist)
        for step in distribution.transforms:
            moved = step(moved)
        return moved
    if torch.isfinite(mean).all():
        return mean
    return distribution.icdf(mean.new_full((), 0.5))
