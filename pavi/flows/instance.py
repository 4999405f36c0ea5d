"""A flow with weights of its own for every ground variable."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pavi.flows.affine import AffineFlow
from pavi.flows.base import ConditionalFlow, Flow, FlowContext


@final
@dataclass(frozen=True)
class InstanceFlow(Flow):
    r"""Another flow, with weights of its own per row instead of weights that rows share.

    .. math:: \theta_n = F\big(\epsilon_n;\ \phi_0 + E_n\big)

    The encoding of a row holds how its weights differ from the initial ones :math:`\phi_0`, which
    stay as they are; so encodings must be free, and a row has as many numbers as the flow has
    weights. The flow itself gets no encoding.

    Args:
        flow: The flow of one row.

    Raises:
        ValueError: If the coefficients of `flow` are the encoding already, so that it has no
            weights to be given to the rows, or if it cannot do without an encoding.
    """

    flow: Flow = AffineFlow()

    def __post_init__(self) -> None:
        if self.flow.encoding_dim(dim=1, upstream=0) is not None:
            raise ValueError(
                f"{self.flow} is a flow of each row by itself and has no shared weights; an "
                "InstanceFlow takes a flow that has, such as AffineFlow() or MAFFlow()."
            )
        self.encoding_dim(dim=1, upstream=0)  # Builds one, so that it is refused here if at all.

    def encoding_dim(self, *, dim: int, upstream: int) -> int:
        """See `Flow.encoding_dim`."""
        # Only counted: what is drawn for its weights must not move anybody's random numbers.
        with torch.random.fork_rng(devices=[]):
            one = self.flow.build(dim=dim, upstream=upstream, encoding=0)
        return sum(weight.numel() for weight in one.parameters())

    @property
    def follows_prior(self) -> bool:
        """See `Flow`."""
        return self.flow.follows_prior

    @property
    def correlates(self) -> bool:
        """See `Flow`."""
        return self.flow.correlates

    def build(self, *, dim: int, upstream: int, encoding: int) -> Instances:
        """See `Flow.build`."""
        return Instances(self.flow.build(dim=dim, upstream=upstream, encoding=0))


@final
class Instances(ConditionalFlow):
    """The module of `InstanceFlow`; all rows are evaluated at once.

    Args:
        flow: The flow of one row, without encoding; its weights become buffers.
    """

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        # The first coordinates of an encoding move the location, as they do in every flow.
        weights = sorted(
            flow.named_parameters(), key=lambda named: not named[0].endswith("head.bias")
        )
        self._shapes = {f"flow.{name}": weight.shape for name, weight in weights}
        self.either = _Either(_with_buffers(flow))

    def set_reference(self, location: Tensor, scale: Tensor) -> None:
        """See `ConditionalFlow`."""
        self.either.flow.set_reference(location, scale)

    def reference(self) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self.either.flow.reference()

    def start(self, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self.either.flow.start(context)

    def forward(self, noise: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self._of_rows(noise, context, inverse=False)

    def inverse(self, value: Tensor, context: FlowContext) -> tuple[Tensor, Tensor]:
        """See `ConditionalFlow`."""
        return self._of_rows(value, context, inverse=True)

    def _of_rows(self, x: Tensor, context: FlowContext, *, inverse: bool) -> tuple[Tensor, Tensor]:
        """Map `(draws, *plates, dim)`, every row by its own weights."""
        draws, *plates = x.shape[:-1]

        def rows(tensor: Tensor) -> Tensor:
            whole = tensor.expand(draws, *plates, tensor.shape[-1])
            return whole.reshape(draws, prod(plates), tensor.shape[-1])

        initial = dict(self.either.named_buffers())

        def one(
            row: Tensor, x: Tensor, upstream: Tensor, location: Tensor, scale: Tensor, r: Tensor
        ) -> tuple[Tensor, Tensor]:
            parts = row.split([shape.numel() for shape in self._shapes.values()])
            weights = {
                name: initial[name] + part.view(shape)
                for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
            }
            relative = None if context.relative_scale is None else r
            seen = FlowContext(row[:0], upstream, location, scale, relative)
            mapped: tuple[Tensor, Tensor] = functional_call(
                self.either, weights, (x, seen), {"inverse": inverse}
            )
            return mapped

        relative = context.scale if context.relative_scale is None else context.relative_scale
        seen = (x, context.upstream, context.location, context.scale, relative)
        own = context.encoding.expand(*plates, context.encoding.shape[-1])
        value, log_det = vmap(one, in_dims=(0, 1, 1, 1, 1, 1), out_dims=1)(
            own.reshape(prod(plates), own.shape[-1]), *(rows(part) for part in seen)
        )
        return value.reshape(x.shape), log_det.reshape(x.shape[:-1])


@final
class _Either(nn.Module):
    """One module for both directions, so that both can be called with other weights."""

    def __init__(self, flow: ConditionalFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, x: Tensor, context: FlowContext, *, inverse: bool) -> tuple[Tensor, Tensor]:
        mapped: tuple[Tensor, Tensor] = (
            self.flow.inverse(x, context) if inverse else self.flow(x, context)
        )
        return mapped


def _with_buffers(flow: ConditionalFlow) -> ConditionalFlow:
    """The flow with buffers in the place of parameters: saved and moved, not trained."""
    for module in flow.modules():
        for name, weight in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, weight.detach())
    return flow
