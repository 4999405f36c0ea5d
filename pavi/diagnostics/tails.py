"""The k-hats of the globals and of the rows of a level, with what they mean."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import torch
from torch import Tensor

from pavi.metrics import khat_threshold

FAIR = 0.5
# Of a row: beyond it no affordable number of draws will do.
HIGH = 0.7
# The share of rows that may exceed it, be it by the scatter of the estimate.
FEW = 0.05
# The share of draws that count from which the bulk is right: with n / (1 + chi^2) that count
# no mean is off by more than chi standard deviations (Cauchy and Schwarz), here half of one.
BULK = 0.8
# Noise of log weights, in nats, from which it is the integration that k-hat shows.
MUCH_NOISE = 0.5


class Grade(StrEnum):
    """How far something can be trusted."""

    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    UNKNOWN = "unknown"


@final
@dataclass(frozen=True)
class GlobalTail:
    """The tail of the weights of the sites without plates.

    Args:
        sites: These sites; all latent sites if the guide draws them all at once.
        khat: Its Pareto shape; minus infinity if all weights are equal.
        effective_sample_size: Of the weighted draws.
        draws: The number of draws.
        noise: The standard deviation of the log weights that comes from integrating the rows.
        joint: Whether the weights are those of all latents at once, rows too.
        blamed: The sites whose values at the largest weights are unlike others.
    """

    sites: tuple[str, ...]
    khat: float
    effective_sample_size: float
    draws: int
    noise: float
    joint: bool = False
    blamed: tuple[str, ...] = ()

    @property
    def grade(self) -> Grade:
        """What the k-hat says; where it is high, whether the bulk is right for all that."""
        if self.khat < FAIR:
            return Grade.GOOD
        heavy = self.khat >= khat_threshold(self.draws)
        return Grade.POOR if heavy and not self.bulk else Grade.FAIR

    @property
    def bulk(self) -> bool:
        """Whether so many draws count that averages are right; far tails may not be."""
        return self.effective_sample_size >= BULK * self.draws

    @property
    def noisy(self) -> bool:
        """Whether the k-hat is high by the integration of the rows."""
        return self.grade is not Grade.GOOD and self.noise > MUCH_NOISE


@final
@dataclass(frozen=True)
class LevelTails:
    """The tails of the weights of every row of a level, given all above.

    Args:
        plates: The plates of the rows.
        sites: The latent sites of a row.
        khat: Of every row, `(*plates,)`, the median over contexts; None if the rows are tied.
        draws: The number of draws of a row, in all contexts.
    """

    plates: tuple[str, ...]
    sites: tuple[str, ...]
    khat: Tensor | None
    draws: int

    @property
    def share(self) -> float:
        """The share of rows whose k-hat is 0.7 or more."""
        return math.nan if self.khat is None else float((self.khat >= HIGH).double().mean())

    @property
    def grade(self) -> Grade:
        """What the k-hats say together."""
        if self.khat is None:
            return Grade.UNKNOWN
        if self.share > FEW:
            return Grade.POOR
        return Grade.GOOD if self.share == 0 else Grade.FAIR

    def worst(self, count: int) -> list[tuple[tuple[int, ...], float]]:
        """The rows of the largest k-hats, of those of 0.7 or more, and these."""
        if self.khat is None or self.khat.ndim == 0:
            return []
        values, places = self.khat.flatten().topk(min(count, self.khat.numel()))
        rows = [
            tuple(int(i) for i in torch.unravel_index(place, self.khat.shape)) for place in places
        ]
        return [(r, float(v)) for r, v in zip(rows, values, strict=True) if v >= HIGH]
