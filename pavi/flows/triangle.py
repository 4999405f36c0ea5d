"""Unit lower-triangular maps of the noise, which correlate the dimensions of one value."""

from __future__ import annotations

import torch
from torch import Tensor


def strictly_lower(entries: Tensor, dim: int) -> Tensor | None:
    """The strictly lower triangular `(..., dim, dim)` of its entries; None if there are none."""
    if not entries.shape[-1]:
        return None
    rows, columns = torch.tril_indices(dim, dim, -1, device=entries.device)
    matrix = entries.new_zeros(*entries.shape[:-1], dim, dim)
    matrix[..., rows, columns] = entries
    return matrix


def mix(triangle: Tensor | None, noise: Tensor) -> Tensor:
    """The noise times one plus the triangle, whose determinant is one."""
    if triangle is None:
        return noise
    return noise + (triangle @ noise.unsqueeze(-1)).squeeze(-1)


def unmix(triangle: Tensor | None, mixed: Tensor) -> Tensor:
    """The inverse of `mix`."""
    if triangle is None:
        return mixed
    return torch.linalg.solve_triangular(
        triangle, mixed.unsqueeze(-1), upper=False, unitriangular=True
    ).squeeze(-1)
