"""Whether labels are right as often as their probabilities say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

BINS = 20


@final
@dataclass(frozen=True)
class Reliability:
    """Labels counted by the probability of the most likely network, their confidence.

    Args:
        count: The number of labels in each of the equally wide bins of 0..1, `(bin,)`.
        confidence: The sum of their confidences, `(bin,)`.
        correct: How many of them are right, `(bin,)`.
    """

    count: NDArray[np.int64]
    confidence: NDArray[np.float64]
    correct: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        probabilities: NDArray[np.floating],
        labels: NDArray[np.integer],
        *,
        bins: int = BINS,
    ) -> Self:
        """Count some labels.

        Args:
            probabilities: Of the networks, `(*rows, network)`.
            labels: The true networks, `(*rows,)`.
            bins: Their number.
        """
        confidence = probabilities.max(-1).astype(np.float64).ravel()
        correct = (probabilities.argmax(-1) == labels).ravel()
        place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
        return cls(
            count=np.bincount(place, minlength=bins),
            confidence=np.bincount(place, confidence, bins).astype(np.float64),
            correct=np.bincount(place[correct], minlength=bins),
        )

    def __add__(self, other: Self) -> Self:
        """The labels of both."""
        return type(self)(
            count=self.count + other.count,
            confidence=self.confidence + other.confidence,
            correct=self.correct + other.correct,
        )

    @property
    def accuracy(self) -> float:
        """The share of the labels that are right."""
        return float(self.correct.sum() / self.count.sum())

    @property
    def expected_calibration_error(self) -> float:
        r"""How far confidence is from accuracy, averaged over labels.

        .. math:: \sum_b \frac{n_b}{n} |\mathrm{accuracy}_b - \mathrm{confidence}_b|

        Reference:
            Guo et al. (2017), On calibration of modern neural networks, equation 3.
        """
        return float(np.abs(self.correct - self.confidence).sum() / self.count.sum())
