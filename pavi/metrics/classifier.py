r"""The classifier two-sample test (C2ST).

A classifier is trained to tell the draws of two samples apart. Its accuracy on draws that it was
not trained on is one half if the samples have one distribution, and one if they do not overlap.
In expectation no classifier exceeds :math:`\frac12 + \frac12 \mathrm{TV}(p, q)`.

Reference:
    Lopez-Paz and Oquab (2017), Revisiting classifier two-sample tests, ICLR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HIDDEN = 32
STEPS = 150
LEARNING_RATE = 0.02
WEIGHT_DECAY = 1e-3


def c2st(one: Tensor, other: Tensor, *, folds: int = 5, seed: int = 0) -> float:
    """The cross-validated accuracy of a small network that tells two samples apart.

    The larger sample is cut to the size of the smaller one. For samples of one distribution and
    `n` draws each the accuracy has a standard error of about `0.35 / sqrt(n)` around one half.

    Args:
        one: A sample, `(draws, *rest)`.
        other: The other one, `(other draws, *rest)`; every draw counts as one vector.
        folds: The number of parts, each of which is held out once.
        seed: Of the folds and the weights at the start.

    Raises:
        ValueError: If the shapes differ after the first axis, there are fewer than two folds, or
            a sample has fewer draws than folds.
    """
    if one.shape[1:] != other.shape[1:]:
        raise ValueError(
            "the samples must have the same shape after their first axis, got "
            f"{tuple(one.shape)} and {tuple(other.shape)}."
        )
    size = min(len(one), len(other))
    if folds < 2 or size < folds:
        raise ValueError(
            f"folds must be two or more and no more than the draws of a sample, got folds={folds} "
            f"and {len(one)} and {len(other)} draws."
        )
    generator = torch.Generator().manual_seed(seed)
    samples = [
        x[torch.randperm(len(x), generator=generator)[:size]].double().reshape(size, -1)
        for x in (one, other)
    ]
    inputs = torch.cat(samples)
    inputs = (inputs - inputs.mean(0)) / inputs.std(0).clamp(min=torch.finfo(inputs.dtype).tiny)
    labels = torch.cat([inputs.new_zeros(size), inputs.new_ones(size)])
    # Each fold holds as many draws of one sample as of the other.
    fold = torch.cat([torch.arange(size) % folds] * 2)
    right = 0.0
    for held in range(folds):
        train = fold != held
        logits = _logits(inputs[train], labels[train], inputs[~train], seed=seed + held)
        right += float(((logits > 0) == (labels[~train] > 0.5)).sum())
    return right / len(labels)


def _logits(inputs: Tensor, labels: Tensor, held_out: Tensor, *, seed: int) -> Tensor:
    """Train on some draws and judge others."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.default_generator.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(inputs.shape[1], HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, HIDDEN),
            nn.SiLU(),
            nn.Linear(HIDDEN, 1),
        ).double()
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
        )
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(network(inputs).squeeze(-1), labels)
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        judged: Tensor = network(held_out).squeeze(-1)
    return judged
