"""The figures of a parcellation, from what its run left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.figures import save
from experiments.hcp_like.cohort import Cohort
from experiments.hcp_like.figures.accuracy import accuracy_per_subject
from experiments.hcp_like.figures.course import elbo_against_time
from experiments.hcp_like.figures.parcellations import group_maps, subject_maps
from experiments.hcp_like.figures.reliability import reliability_diagram
from experiments.hcp_like.reliability import Reliability
from experiments.parcellation.run_files import RunFiles

# Figures of a hundred thousand triangles and more, whose files would take megabytes.
MAPS, MAP_DPI, MAP_COLORS = ("group", "subjects"), 200, 256


def write_figures(
    folder: Path, files: RunFiles, metrics: Mapping[str, Any], cohort: Cohort | None
) -> dict[str, Figure]:
    """Draw everything there is to see, as PNG and SVG.

    Args:
        folder: Where to.
        files: Of the run.
        metrics: Of the run.
        cohort: Its truth; without it there is the course of the ELBO alone.

    Returns:
        The figures, by name.
    """
    history = files.history
    assert history is not None
    course = history["fixed_batch"]
    found = {
        "elbo": elbo_against_time(
            np.asarray(course["seconds"]),
            np.asarray(course["elbo"]),
            steps=np.asarray(course["steps"]),
            start=files.seconds["start"],
        )
    }
    if cohort is not None:
        found |= against_truth(files, metrics, cohort)
    folder.mkdir(exist_ok=True)
    for name, figure in found.items():
        for ending in ("png", "svg"):
            path = folder / f"{name}.{ending}"
            if name in MAPS:
                save(figure, path, dpi=MAP_DPI, colors=MAP_COLORS)
            else:
                save(figure, path)
    return found


def against_truth(
    files: RunFiles, metrics: Mapping[str, Any], cohort: Cohort
) -> dict[str, Figure]:
    """Maps of the group and of subjects beside the true ones, accuracy and calibration."""
    fitted_of = np.argsort(metrics["networks"])
    group = files.tensors("group")
    assert group is not None
    probabilities = np.load(files.labels / "values.npy", mmap_mode="r")
    accuracy = np.asarray(metrics["subject_accuracy"])
    # The least, the median and the most accurate of all subjects.
    order = np.argsort(accuracy)
    shown = {
        "least accurate": order[0],
        "median": order[len(order) // 2],
        "most accurate": order[-1],
    }
    rows = list(shown.values())
    counted = {name: np.asarray(value) for name, value in metrics["reliability"].items()}
    return {
        "group": group_maps(
            cohort.surface,
            cohort.on_surface(cohort.truth.probabilities),
            cohort.on_surface(group["probabilities"].numpy()[:, fitted_of]),
        ),
        "subjects": subject_maps(
            cohort.surface,
            cohort.on_surface(np.asarray(cohort.labels[rows]), axis=1),
            cohort.on_surface(probabilities[rows].astype(np.float32)[..., fitted_of], axis=1),
            names=[f"Subject {row}\n({name})" for name, row in shown.items()],
        ),
        "accuracy": accuracy_per_subject(
            accuracy, cohort.truth.oracle_accuracy, group=cohort.truth.map_accuracy
        ),
        "reliability": reliability_diagram(Reliability(**counted), networks=len(fitted_of)),
    }
