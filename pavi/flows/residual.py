"""Flows that bend the noise before an affine map, on zuko's transforms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn

from pavi.flows.affine import AffineFlow
from pavi.flows.base import ConditionalFlow, Flow, FlowContext
from pavi.flows.zuko_import import zuko


@final
@dataclass(frozen=True)
class MAFFlow(Flow):
    """A masked autoregressive flow on the noise, then the affine map.

    Args:
        transforms: The number of autoregressive layers.
        hidden: The widths of the hidden layers of each.
        full: Whether the affine map correlates dimensions too, as that of `AffineFlow(full=True)`:
            for vectors that correlated data determine, below priors with unknown scales.

    Reference:
        Papamakarios et al. (2017), Masked autoregressive flow for density estimation. Used in
        the forward direction it samples in one pass (Kingma et al., 2016, inverse autoregressive
        flow); the inverse takes one pass per dimension.
    """

    transforms: int = 2
    hidden: tuple[int, ...] = (32, 32)
    full: bool = False

    @property
    def correlates(self) -> bool:
        """See `Flow`."""
        return self.full

    def build(self, *, dim: int, upstream: int, encoding: int) -> Residual:
        """See `Flow.build`."""
        bend = zuko.flows.MAF(
            dim, encoding + upstream, transforms=self.transforms, hidden_features=self.hidden
        )
        affine = AffineFlow(full=self.full)
        return Residual(bend, affine.build(dim=dim, upstream=upstream, encoding=encoding))


@final
@dataclass(frozen=True)
class NSFFlow(Flow):
    """A neural spline flow on the noise, then the affine map.

    Args:
        transforms: The number of autoregressive layers.
        hidden: The widths of the hidden layers of each.
        bins: The number of bins of the splines, which span [-5, 5].

    Reference:
        Durkan et al. (2019), Neural spline flows.
    """

    transforms: int = 1
    hidden: tuple[int, ...] = (32, 32)
    bins: int = 8

    def build(self, *, dim: int, upstream: int, encoding: int) -> Residual:
        """See `Flow.build`."""
        bend = zuko.flows.NSF(
            dim,
            encoding + upstream,
            transforms=self.transforms,
            hidden_features=self.hidden,
            bins=self.bins,
        )
        return Residual(bend, AffineFlow().build(dim=dim, upstream=upstream, encoding=encoding))


@final
@dataclass(frozen=True)
class CouplingFlow(Flow):
    """Affine coupling layers on the noise, then the affine map; both directions take one pass.

    A layer moves one half of the dimensions by what it reads off the other, so a site of one
    dimension has the affine map alone.

    Args:
        transforms: The number of coupling layers.
        hidden: The widths of the hidden layers of each.

    Reference:
        Dinh et al. (2015), NICE: non-linear independent components estimation. Dinh et al. (2017),
        Density estimation using Real NVP.
    """

    transforms: int = 2
    hidden: tuple[int, ...] = (32, 32)

    def build(self, *, dim: int, upstream: int, encoding: int) -> ConditionalFlow:
        """See `Flow.build`."""
        affine = AffineFlow().build(dim=dim, upstream=upstream, encoding=encoding)
        if dim == 1:
            return affine
        bend = zuko.flows.NICE(
            dim, encoding + upstream, transforms=self.transforms, hidden_features=self.hidden
        )
        return Residual(bend, affine)


@final
class Residual(ConditionalFlow):
    """A zuko flow on the noise followed by an affine map.

    The zuko flow stands on the side of the noise, where its input is standardised and inside the
    box of a spline at every stage of training. It starts as the identity. Its networks read
    upstream values through an inverse hyperbolic sine: one that lies far from where it was a step
    ago must not throw what they compute.

    Args:
        bend: A lazy zuko flow with context `(encoding, upstream)`.
        affine: The affine map.
        sees_upstream: Whether the zuko flow sees upstream values; if not, its context is the
            encoding alone.
    """

    def __init__(self, bend: Any, affine: ConditionalFlow, *, sees_upstream: bool = True) -> None:
        super().__init__()
        self.bend, self.affine, self._sees_upstream = bend.transform, affine, sees_upstream
        for layer in self.bend.transforms:
            # The last layer of each hyper-network; zero parameters are the identity. With a
            # zero output its gradient is not zero, so nothing is stuck.
            if hasattr(layer, "hyper"):
                last = [
                    m for m in layer.hyper.modules() if isinstance(m, nn.Linear | zuko.nn.Linear)
                ][-1]
                nn.init.zeros_(last.weight)
                nn.init.zeros_(last.bias)
            else:  # One dimension and no context: there is nothing to compute parameters from.
                for parameter in layer.parameters():
                    nn.init.zeros_(parameter)

    def start(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self.affine.start(context)

    def networks(self) -> list[nn.Parameter]:
        """See `ConditionalFlow`."""
        return [*self.bend.parameters(), *self.affine.networks()]

    def set_reference(self, location: Tensor, scale: Tensor) -> None:
        """See `ConditionalFlow`."""
        self.affine.set_reference(location, scale)

    def keep_apart(self) -> None:
        """See `ConditionalFlow`; the zuko flow shares its networks with nobody as it is."""
        self.affine.keep_apart()

    def reference(self) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self.affine.reference()

    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        bent, log_det = self.bend(self._context(noise, context)).call_and_ladj(noise)
        value, log_det_affine = self.affine(bent, context)
        return value, log_det + log_det_affine

    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        bent, log_det_affine = self.affine.inverse(value, context)
        transform = self.bend(self._context(value, context)).inv
        noise, log_det = transform.call_and_ladj(bent)
        return noise, log_det_affine - log_det

    def _context(self, like: Tensor, context: FlowContext) -> Tensor | None:
        lead = like.shape[:-1]
        parts = [context.encoding]
        if self._sees_upstream:
            parts.append(context.upstream.asinh())
        if not any(part.shape[-1] for part in parts):
            return None
        return torch.cat([part.expand(*lead, part.shape[-1]) for part in parts], dim=-1)
