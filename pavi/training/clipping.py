r"""Clipping gradients of which some are row-sparse.

On its way from the prior to the posterior a fit meets gradients that shrink by orders of
magnitude, and among them spikes, from single draws of a wide scale, that point nowhere useful.
Adam divides by the recent size of the gradient, so a spike both moves the parameters and deafens
them to the next steps. A fixed norm cannot tell the two apart; the recent norm can. With the norm
:math:`n_t` of step `t`, a step is scaled down to

.. math:: \tilde n_t = \min(n_t,\ c\, r_{t-1}), \qquad
    r_t^2 = r_{t-1}^2 + \tfrac1{10} (\tilde n_t^2 - r_{t-1}^2).

The recent norm is a root mean square, and gradients below 3% of it leave it as it is, so that
batches that say little, such as those whose values are missing, do not make spikes of the others.
Ten of these in a row are no exception: then it was the recent norm that came from a spike, as the
very first gradient may, and the norm at hand takes its place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import final

import torch
from torch import Tensor, nn

MEMORY = 0.1
# A gradient this many times smaller than the recent ones comes from a batch that says nothing.
SILENT = 0.03
# After so many of these in a row it is the recent norm that is wrong.
PATIENCE = 10


@final
class GradientClipping(nn.Module):
    """Scales the gradients of all parameters down together; what it remembers is its state.

    Args:
        spike: `c`, how many times the recent norm a gradient may have; None for any.
        max_norm: The largest norm of a gradient; None for any.
    """

    recent: Tensor
    silent: Tensor

    def __init__(self, *, spike: float | None, max_norm: float | None) -> None:
        super().__init__()
        self._spike, self._max_norm = spike, max_norm
        # Infinite before the first step, which nothing can be compared with.
        self.register_buffer("recent", torch.tensor(math.inf))
        self.register_buffer("silent", torch.tensor(0))

    @torch.no_grad()
    def forward(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        owned: Iterable[nn.Parameter] = (),
        over_ranks: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Clip, and return the norm before; where that is not finite nothing is changed.

        Args:
            parameters: Those whose gradients are the same on all ranks.
            owned: Those that this rank alone has; every rank clips by the norm of all of them.
            over_ranks: The norm of all ranks' owned gradients, from that of each.
        """
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = gradient_norm(gradients)
        if over_ranks is not None:
            own = [p.grad for p in owned if p.grad is not None]
            norm = torch.hypot(norm, over_ranks(gradient_norm(own).to(norm)))
            gradients += own
        if not torch.isfinite(norm):
            return norm
        allowed = norm
        if self._spike is not None:
            allowed = torch.minimum(allowed, self._spike * self.recent.to(norm))
        if self._max_norm is not None:
            allowed = allowed.clamp(max=self._max_norm)
        tiny = torch.finfo(norm.dtype).tiny
        factor = allowed / norm.clamp(min=tiny)
        if factor < 1:
            for gradient in gradients:
                gradient.mul_(factor)
        self._remember(allowed.to(self.recent))
        return norm

    def _remember(self, norm: Tensor) -> None:
        loud = bool(norm > SILENT * self.recent) and bool(torch.isfinite(self.recent))
        if loud:
            self.silent.zero_()
            # The root of a mean of squares that do not overflow.
            before, now = (1 - MEMORY) ** 0.5 * self.recent, MEMORY**0.5 * norm
            self.recent.copy_(torch.hypot(before, now))
            return
        self.silent.add_(1)
        if norm > 0 and (torch.isinf(self.recent) or self.silent >= PATIENCE):
            self.recent.copy_(norm)
            self.silent.zero_()


def gradient_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together, dense or row-sparse."""
    # A table's look-up holds each row once, but a sum of two does not.
    stored = [g.coalesce().values() if g.is_sparse else g for g in gradients]
    norm = torch.nn.utils.get_total_norm(stored)
    if torch.isfinite(norm):
        return norm
    # Squares of single precision overflow at 1e19, long before the gradients themselves do.
    largest = torch.stack([g.abs().max() for g in stored if g.numel()]).max()
    return largest * torch.nn.utils.get_total_norm([g / largest for g in stored])
