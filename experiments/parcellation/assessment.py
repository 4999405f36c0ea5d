r"""How good label probabilities are, where the truth is known.

Networks have no order, so the fitted ones are first paired with the true ones, such that the two
group maps agree at as many vertices as possible. Then

* accuracy: the share of vertices whose most probable label is the true one, per subject;
* expected calibration error: with the largest probability of a vertex as its confidence, in `B`
  bins of equal width, :math:`\mathrm{ECE} = \sum_b \frac{n_b}{n} |\mathrm{acc}_b -
  \mathrm{conf}_b|`;
* Dice, per network and for the group maps: :math:`2 |A \cap B| / (|A| + |B|)`.

Reference:
    Guo et al. (2017), On calibration of modern neural networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import linear_sum_assignment

from experiments.hcp_like.cohort import Cohort
from experiments.parcellation.run_files import RunFiles

BINS = 20


def paired(
    fitted: NDArray[np.integer], true: NDArray[np.integer], networks: int
) -> NDArray[np.int64]:
    """The true network of every fitted one, from two group maps `(vertex,)`.

    Args:
        fitted: The fitted label of every vertex.
        true: The true one.
        networks: How many there are of either.
    """
    both = np.zeros((networks, networks), dtype=np.int64)
    np.add.at(both, (fitted, true), 1)
    return linear_sum_assignment(-both)[1]


def dice(
    one: NDArray[np.integer], other: NDArray[np.integer], networks: int
) -> NDArray[np.float64]:
    """The overlap of two maps, per network; one where a network is in neither."""
    sizes = np.bincount(one, minlength=networks) + np.bincount(other, minlength=networks)
    common = np.bincount(one[one == other], minlength=networks)
    return np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1.0)


@final
@dataclass
class Reliability:
    """Confidence against accuracy, added up over subjects.

    Attributes:
        count: Vertices per bin of confidence.
        right: Those of them that are labelled right.
        confidence: The sum of their confidences.
        accuracy: The share that is right, per subject.
    """

    count: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    right: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, dtype=np.int64))
    confidence: NDArray[np.float64] = field(default_factory=lambda: np.zeros(BINS))
    accuracy: list[float] = field(default_factory=list)

    def add(self, probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
        """A subject.

        Args:
            probabilities: `(vertex, network)`, the networks in the order of the labels.
            labels: The true ones, `(vertex,)`.
        """
        sure = probabilities.max(1).astype(np.float64)
        right = probabilities.argmax(1) == labels
        bins = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
        self.count += np.bincount(bins, minlength=BINS)
        self.right += np.bincount(bins[right], minlength=BINS)
        self.confidence += np.bincount(bins, weights=sure, minlength=BINS)
        self.accuracy.append(float(right.mean()))

    @property
    def error(self) -> float:
        """The expected calibration error."""
        return float(np.abs(self.right - self.confidence).sum() / self.count.sum())


def compared(files: RunFiles, cohort: Cohort) -> Mapping[str, Any]:
    """The label probabilities of a run against the truth of its cohort.

    Args:
        files: Of the run.
        cohort: With its truth.
    """
    group = files.tensors("group")
    assert group is not None
    fitted, true = group["probabilities"].argmax(1).numpy(), cohort.truth.probabilities.argmax(1)
    networks = len(cohort.truth.mu)
    true_of = paired(fitted, true, networks)
    reliability = Reliability()
    held = np.load(files.labels / "values.npy", mmap_mode="r")
    fitted_of = np.argsort(true_of)
    for subject in track(range(len(held)), "comparing with the truth", transient=True):
        probabilities = held[subject].astype(np.float32)[:, fitted_of]
        reliability.add(probabilities, cohort.labels[subject])
    sizes = np.maximum(reliability.count, 1)
    return {
        "accuracy": float(np.mean(reliability.accuracy)),
        "oracle_accuracy": float(cohort.truth.oracle_accuracy.mean()),
        "map_accuracy": float(cohort.truth.map_accuracy.mean()),
        "ece": reliability.error,
        "dice": dice(true_of[fitted], true, networks).tolist(),
        "networks": true_of.tolist(),
        "subject_accuracy": reliability.accuracy,
        "reliability": {
            "count": reliability.count.tolist(),
            "accuracy": (reliability.right / sizes).tolist(),
            "confidence": (reliability.confidence / sizes).tolist(),
        },
    }
