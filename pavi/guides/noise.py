"""Standard normal noise of a step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pavi.core import PlateBatch


def seeded(batch: PlateBatch) -> torch.Generator:
    """The generator of a batch's noise."""
    return torch.Generator(batch.like.device).manual_seed(batch.seed)


def gaussian_noise(
    draws: int,
    shape: Sequence[int],
    like: Tensor,
    generator: torch.Generator,
    *,
    antithetic: bool = False,
    width: float = 1.0,
) -> Tensor:
    """Standard normal noise `(draws, *shape)`; antithetic, the second half mirrors the first.

    Args:
        draws: The number of draws.
        shape: Of one draw.
        like: A tensor of the floating-point type and device wanted.
        generator: Where the noise comes from.
        antithetic: Whether to mirror.
        width: The standard deviation; other than one only to warm up.
    """
    fresh = (draws + 1) // 2 if antithetic else draws
    noise = torch.randn(fresh, *shape, generator=generator, dtype=like.dtype, device=like.device)
    if antithetic:
        noise = torch.cat([noise, -noise[: draws - fresh]])
    return noise if width == 1.0 else width * noise
