r"""How much the gradient of a step varies from batch to batch.

.. math:: \frac1B \sum_b \lVert g_b - \bar g \rVert^2,

over the weights that all rows share, in nats squared per unit of the weights: what rows and noise
of a batch leave to chance. A table row has a gradient in its own batches only, so tables stay out.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pavi.data import PlateData
from pavi.data.module import PlateBatches
from pavi.guides import Guide
from pavi.objectives import ReducedELBO


def gradient_variance(
    guide: Guide,
    data: PlateData,
    objective: ReducedELBO,
    *,
    batch: Mapping[str, int],
    blocks: Mapping[str, int] | None = None,
    batches: int,
    seed: int,
) -> float:
    """The total variance of the gradient of the shared weights.

    Args:
        guide: The guide, as it stands.
        data: The data.
        objective: What a step minimises.
        batch: The rows that are drawn per plate and step.
        blocks: The length of the runs that these come in.
        batches: How many batches.
        seed: Of their rows and noise.
    """
    tables = {id(table) for table in guide.tables()}
    shared = [p for p in guide.parameters() if p.requires_grad and id(p) not in tables]
    stream = PlateBatches(data, batch=batch, blocks=blocks, seed=seed, epochs=False)
    rows = []
    for number in range(batches):
        loss = objective(guide, stream[number]).loss
        slopes = torch.autograd.grad(loss, shared, allow_unused=True, materialize_grads=True)
        rows.append(torch.cat([slope.detach().double().flatten() for slope in slopes]))
    gradients = torch.stack(rows)
    return float((gradients - gradients.mean(0)).square().sum(1).mean())
