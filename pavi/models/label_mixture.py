r"""Vectors measured in several sessions, given a label that the sessions share and nobody sees."""

from __future__ import annotations

import math
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Distribution, constraints


@final
class LabelMixture(Distribution):
    r"""Spherical Gaussians around the centroids of one label, summed over labels.

    .. math:: p(x) = \sum_l \mathrm{softmax}(a)_l \prod_t N(x_t; c_{tl}, \kappa^2 I)

    Distances to all centroids are one matrix product,
    :math:`|x - c|^2 = |x|^2 - 2 x^\top c + |c|^2`: where the centroids do not differ from row to
    row, as within a subject, nothing of the size rows x labels x dimensions is formed.

    Args:
        logits: Of the labels, :math:`a`, `(*batch, labels)`.
        centroids: :math:`c`, `(*batch, sessions, labels, dim)`.
        scale: :math:`\kappa`, `(*batch,)`.
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {
        "logits": constraints.real_vector,
        "centroids": constraints.independent(constraints.real, 3),
        "scale": constraints.positive,
    }
    support = constraints.independent(constraints.real, 2)

    def __init__(
        self,
        logits: Float[Tensor, "*#batch labels"],
        centroids: Float[Tensor, "*#batch sessions labels dim"],
        scale: Float[Tensor, "*#batch"],
        *,
        validate_args: bool | None = None,
    ) -> None:
        self.logits, self.centroids, self.scale = logits, centroids, scale
        batch = torch.broadcast_shapes(logits.shape[:-1], centroids.shape[:-3], scale.shape)
        sessions, _, dim = centroids.shape[-3:]
        super().__init__(batch, torch.Size([sessions, dim]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> LabelMixture:
        """The same distribution with more rows."""
        shape = torch.Size(batch_shape)
        return LabelMixture(
            self.logits.expand(*shape, *self.logits.shape[-1:]),
            self.centroids.expand(*shape, *self.centroids.shape[-3:]),
            self.scale.expand(shape),
            validate_args=False,
        )

    def label_log_densities(
        self, value: Float[Tensor, "*rows sessions dim"]
    ) -> Float[Tensor, "*_ labels"]:
        r"""The log of each label's term, :math:`\log \mathrm{softmax}(a)_l p(x \mid l)`."""
        sessions, dim = self.event_shape
        flat = value.flatten(-2)
        weights = self.centroids.transpose(-3, -2).flatten(-2)  # (*batch, labels, sessions * dim)
        products = _products(flat, weights)
        squares = weights.square().sum(-1)
        distance = flat.square().sum(-1).unsqueeze(-1) - 2 * products + squares
        scale = self.scale.unsqueeze(-1)
        norm = sessions * dim * (scale.log() + 0.5 * math.log(2 * math.pi))
        return self.logits.log_softmax(-1) - distance / (2 * scale.square()) - norm

    def log_prob(self, value: Tensor) -> Tensor:
        """The log density, `(*batch,)`."""
        if self._validate_args:
            self._validate_sample(value)
        return self.label_log_densities(value).logsumexp(-1)

    def label_probabilities(self, value: Tensor) -> Tensor:
        """The probabilities of the labels given a value, `(*batch, labels)`."""
        return self.label_log_densities(value).softmax(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draw values, `(*sample_shape, *batch, sessions, dim)`."""
        shape = (*sample_shape, *self.batch_shape)
        logits = self.logits.expand(*shape, self.logits.shape[-1])
        label = torch.distributions.Categorical(logits=logits).sample()
        centroids = self.centroids.expand(*shape, *self.centroids.shape[-3:])
        index = label[..., None, None, None].expand(*shape, *self.event_shape[:1], 1, 1)
        chosen = centroids.gather(-2, index.expand(*index.shape[:-1], self.event_shape[1]))
        noise = torch.randn_like(chosen.squeeze(-2))
        return chosen.squeeze(-2) + self.scale[..., None, None] * noise


def _products(
    rows: Float[Tensor, "*_ size"], weights: Float[Tensor, "*_ labels size"]
) -> Float[Tensor, "*_ labels"]:
    """Inner products of rows with the vectors of all labels."""
    if rows.ndim > 1 and weights.ndim > 2 and weights.shape[-3] == 1:  # shared by the last axis
        return rows @ weights.squeeze(-3).mT
    return (rows.unsqueeze(-2) * weights).sum(-1)
