"""What an encoder reads from a batch: standardised data of one frame, with their products."""

from __future__ import annotations

from math import prod
from typing import final

import torch
from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment
from pavi.encodings.frames import Frame

# Up to this many numbers per row, all their products come along; beyond, the squares.
ALL_PRODUCTS = 6


@final
class FrameInputs(nn.Module):
    r"""The numbers of every row of a frame: its data :math:`z`, and their products.

    Data are observed values and covariates, standardised; products are :math:`z_i z_j`. The mean
    of these over the rows of a group is what a linear model with Gaussian errors needs to know of
    the group. Means and widths are set from data.

    Args:
        model: The template.
        frame: Its observed sites and covariates in reach are read.

    Attributes:
        size: How many numbers a row has.
        covariates: Which of these are its covariates.
    """

    def __init__(self, model: HierarchicalModel, frame: Frame) -> None:
        super().__init__()
        self._frame = frame
        self._names = (*frame.observed, *frame.covariates)
        self._alignments = {
            name: Alignment.between(
                model.plates, model.sites[name].plates, frame.plates, source_rank=1, target_rank=1
            )
            for name in self._names
        }
        self._ranks = {name: len(model.sites[name].plates) for name in self._names}
        sizes = {name: prod(model.sites[name].event_shape) for name in self._names}
        for name, size in sizes.items():
            self.register_buffer(f"center_{name}", torch.zeros(size))
            self.register_buffer(f"width_{name}", torch.ones(size))
        total = sum(sizes.values())
        self.covariates = slice(sum(sizes[name] for name in frame.observed), total)
        left, right = torch.triu_indices(total, total)
        if total > ALL_PRODUCTS:
            left = right = torch.arange(total)
        self.register_buffer("_left", left, persistent=False)
        self.register_buffer("_right", right, persistent=False)
        # With several observed sites a row can lack some of its values and hold others.
        self._flags = len(frame.observed) > 1
        self.size = total + len(left) + (len(frame.observed) if self._flags else 0)

    @torch.no_grad()
    def standardise(self, batch: PlateBatch) -> None:
        """Set means and widths to those of the present values of a batch."""
        for name in self._names:
            rows = self._flat(name, batch).flatten(0, -2)
            if name in batch.present:
                rows = rows[batch.present[name].flatten()]
            center, width = center_and_width(rows)
            getattr(self, f"center_{name}").copy_(center)
            getattr(self, f"width_{name}").copy_(width)

    def forward(self, batch: PlateBatch) -> Tensor:
        """The numbers of every row, `(*plates, size)`."""
        parts, flags = [], []
        shape = batch.shape(self._frame.plates)
        for name in self._names:
            z = self._flat(name, batch) - getattr(self, f"center_{name}")
            z = z / getattr(self, f"width_{name}")
            if name in batch.present:
                z = torch.where(batch.present[name].unsqueeze(-1), z, 0.0)
            parts.append(self._alignments[name](z.unsqueeze(0), batch).squeeze(0))
            if self._flags and name in self._frame.observed:
                flags.append(self._present(name, batch))
        if not parts:
            return batch.like.new_zeros(*shape, 0)
        z = torch.cat([part.expand(*shape, part.shape[-1]) for part in parts], dim=-1)
        products = z[..., self.get_buffer("_left")] * z[..., self.get_buffer("_right")]
        return torch.cat([z, products, *flags], dim=-1)

    def counted(self, batch: PlateBatch) -> Tensor | None:
        """Which rows hold any observed value, `(*plates,)` of zeros and ones; None for all."""
        if not self._frame.observed or any(n not in batch.present for n in self._frame.observed):
            return None
        return torch.stack([self._present(n, batch) for n in self._frame.observed]).amax(0)[..., 0]

    def _flat(self, name: str, batch: PlateBatch) -> Tensor:
        value = batch.values[name].to(batch.like)
        return value.reshape(*value.shape[: self._ranks[name]], -1)

    def _present(self, name: str, batch: PlateBatch) -> Tensor:
        shape = batch.shape(self._frame.plates)
        if name not in batch.present:
            return batch.like.new_ones(*shape, 1)
        mask = batch.present[name].to(batch.like)[None, ..., None]
        return self._alignments[name](mask, batch).squeeze(0)


def center_and_width(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each column of `(rows, columns)`; one for a constant.

    What varies by less than a millionth of its mean is a constant: the rest is rounding.
    """
    width, center = torch.std_mean(rows.double(), dim=0, correction=0)
    constant = width <= 1e-6 * center.abs().clamp(min=1e-6)
    return center, torch.where(constant, torch.ones_like(width), width)
