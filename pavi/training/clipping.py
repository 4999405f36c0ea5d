"""Clipping gradients of which some are row-sparse."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def gradient_norm(parameters: Iterable[nn.Parameter]) -> Tensor:
    """The Euclidean norm of all gradients together."""
    squares = [_entries(p.grad).square().sum() for p in parameters if p.grad is not None]
    return torch.stack(squares).sum().sqrt() if squares else torch.zeros(())


def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
    """Scale all gradients down together so that their norm is at most `max_norm`.

    Unlike `torch.nn.utils.clip_grad_norm_` this takes sparse gradients as well.

    Returns:
        The norm before clipping.
    """
    parameters = list(parameters)
    norm = gradient_norm(parameters)
    factor = (max_norm / (norm + 1e-6)).clamp(max=1.0)
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.mul_(factor)
    return norm


def _entries(gradient: Tensor) -> Tensor:
    """The stored entries; a table's look-up holds each row once, but a sum of two does not."""
    return gradient.coalesce().values() if gradient.is_sparse else gradient
