"""A distribution as its family and its parameters, so that these can be batched and sliced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, LKJCholesky, MixtureSameFamily

# Families with several ways to say the same: the one that their density is computed from.
CHOSEN = {
    "MultivariateNormal": ("loc", "scale_tril"),
    "LowRankMultivariateNormal": ("loc", "cov_factor", "cov_diag"),
    "Wishart": ("df", "scale_tril"),
}


@final
@dataclass(frozen=True)
class Parts:
    """The parts of a distribution.

    Args:
        family: A class of `torch.distributions`.
        names: The names of its parameters.
        parameters: Their values, `(*batch, *parameter)`.
        fixed: Arguments that are no tensors.
        inner: The distributions that it is made of, and by which argument.
        event_dims: How many batch axes were declared part of the event.
    """

    family: Callable[..., Distribution]
    names: tuple[str, ...]
    parameters: tuple[Tensor, ...]
    fixed: Mapping[str, Any]
    inner: Mapping[str, Parts]
    event_dims: int = 0

    @classmethod
    def of(cls, distribution: Distribution) -> Parts:
        """Take a distribution of torch, or Pyro's of the same name, apart.

        Raises:
            ValueError: If its family is not one of torch's.
        """
        if isinstance(distribution, Independent):
            found = cls.of(distribution.base_dist)
            dims = found.event_dims + distribution.reinterpreted_batch_ndims
            return cls(found.family, found.names, found.parameters, found.fixed, found.inner, dims)
        name = type(distribution).__name__
        family = getattr(torch.distributions, name, None)
        if not isinstance(family, type) or not issubclass(family, Distribution):
            raise ValueError(f"its distribution {name} is none of torch.distributions")
        if isinstance(distribution, MixtureSameFamily):
            inner = {
                "mixture_distribution": cls.of(distribution.mixture_distribution),
                "component_distribution": cls.of(distribution.component_distribution),
            }
            return cls(family, (), (), {}, inner)
        if not distribution.arg_constraints:
            raise ValueError(f"its distribution {name} has no parameters by name")
        names = CHOSEN.get(name) or _names(distribution)
        fixed = {"dim": distribution.dim} if isinstance(distribution, LKJCholesky) else {}
        values = (torch.as_tensor(getattr(distribution, n)) for n in names)
        return cls(family, names, tuple(values), fixed, {})

    def tensors(self) -> tuple[Tensor, ...]:
        """All parameters, those of inner distributions included."""
        inner = [tensor for part in self.inner.values() for tensor in part.tensors()]
        return (*self.parameters, *inner)

    def build(self, tensors: Sequence[Tensor]) -> Distribution:
        """A distribution of this make with other parameters, in the order of `tensors`."""
        waiting = list(tensors)
        distribution = self._build(waiting)
        assert not waiting
        return distribution

    def _build(self, waiting: list[Tensor]) -> Distribution:
        own = {name: waiting.pop(0) for name in self.names}
        inner = {name: part._build(waiting) for name, part in self.inner.items()}
        distribution = self.family(**self.fixed, **own, **inner)
        return Independent(distribution, self.event_dims) if self.event_dims else distribution


def _names(distribution: Distribution) -> tuple[str, ...]:
    names = tuple(distribution.arg_constraints)
    if "logits" in names and "probs" in names:
        given = "logits" if "logits" in vars(distribution) else "probs"
        names = (*(n for n in names if n not in ("logits", "probs")), given)
    return names
