"""A function and its gradient as one flat list of tensor operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


@final
class Tape:
    """Records a function of one vector and its gradient once, and plays them back.

    Building distributions and walking a graph of gradients costs more than the arithmetic when a
    vector is short, and a sampler asks hundreds of thousands of times.

    Args:
        function: From `(draws, dim)` to `(draws,)`. What it does may not depend on the numbers,
            only on shapes.
        example: A vector `(dim,)` to record with.
        compile: Whether to compile the record, which needs a C++ compiler.

    Raises:
        ValueError: If the function cannot be recorded.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], example: Tensor, *, compile: bool = False
    ) -> None:
        def both(vector: Tensor) -> tuple[Tensor, Tensor]:
            with torch.enable_grad():
                leaf = vector.detach().requires_grad_()
                value = function(leaf.unsqueeze(0)).squeeze(0)
                (gradient,) = torch.autograd.grad(value, leaf)
            return value.detach(), gradient

        try:
            record = make_fx(both)(example)
        except RuntimeError as error:
            raise ValueError(
                "the log density cannot be recorded as a list of operations; a conditional may "
                "depend on its parents' numbers by torch.where, but not by `if` or `.item()`: "
                f"{error}"
            ) from error
        record.graph.eliminate_dead_code()
        record.recompile()
        self._play = torch.compile(record, fullgraph=True) if compile else record

    @torch.no_grad()
    def __call__(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """The value and the gradient, `()` and `(dim,)`."""
        value, gradient = self._play(vector)
        return value, gradient
