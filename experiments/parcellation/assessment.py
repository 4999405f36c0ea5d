r"""How good label probabilities are, where the truth is known.

Networks have no order, so the fitted ones are first paired with the true ones, such that the two
group maps agree at as many vertices as possible. Then

* accuracy: the share of vertices whose most probable label is the true one, per subject;
* expected calibration error, see `experiments.hcp_like.reliability`;
* Dice, per network and for the group maps: :math:`2 |A \cap B| / (|A| + |B|)`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy.optimize import linear_sum_assignment

from experiments.hcp_like.cohort import Cohort
from experiments.hcp_like.reliability import Reliability
from experiments.parcellation.ranks import ALONE, Ranks
from experiments.parcellation.run_files import RunFiles


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


def compared(files: RunFiles, cohort: Cohort, ranks: Ranks = ALONE) -> Mapping[str, Any]:
    """The label probabilities of a run against the truth of its cohort.

    Args:
        files: Of the run.
        cohort: With its truth.
        ranks: Who else does this, each with the subjects of its own.
    """
    group = files.tensors("group")
    assert group is not None
    fitted, true = group["probabilities"].argmax(1).numpy(), cohort.truth.probabilities.argmax(1)
    networks = len(cohort.truth.mu)
    true_of = paired(fitted, true, networks)
    fitted_of = np.argsort(true_of)
    reliability = Reliability.of(np.zeros((0, networks)), np.zeros(0, dtype=int))
    accuracy: list[float] = []
    held = np.load(files.labels / "values.npy", mmap_mode="r")
    mine = ranks.subjects(len(held))
    bar = "comparing with the truth"
    for subject in track(mine, bar, transient=True, disable=not ranks.first):
        probabilities = held[subject].astype(np.float32)[:, fitted_of]
        found = Reliability.of(probabilities, cohort.labels[subject])
        reliability = reliability + found
        accuracy.append(found.accuracy)
    parts = ranks.together(lambda: (reliability, accuracy))
    reliability = reduce(add, (part for part, _ in parts))
    return {
        "accuracy": reliability.accuracy,
        "oracle_accuracy": float(cohort.truth.oracle_accuracy.mean()),
        "map_accuracy": float(cohort.truth.map_accuracy.mean()),
        "ece": reliability.expected_calibration_error,
        "dice": dice(true_of[fitted], true, networks).tolist(),
        "networks": true_of.tolist(),
        "subject_accuracy": [value for _, values in parts for value in values],
        "reliability": {name: value.tolist() for name, value in vars(reliability).items()},
    }
