"""The results of a study as a tidy table: one row per method, case, data set and seed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from experiments.run_folder import RunFolder
from experiments.studies.outcome import Outcome

# Where a run comes from; the runs of a study may come from several versions and machines.
ORIGIN = ("commit", "dirty", "threads", "jobs")
COLUMNS = (
    "bound",
    "elbo",
    "standard_error",
    "log_evidence",
    "gap",
    "gap_per_latent",
    "importance_bound",
    "importance_error",
    "importance_size",
    "start_gradient_variance",
    "final_gradient_variance",
    "seconds",
    "train_seconds",
    "steps",
    "num_parameters",
    "num_latents",
)


def tidy(found: Iterable[Outcome]) -> pd.DataFrame:
    """The table; columns that no run fills are left out."""
    rows: list[dict[str, Any]] = []
    for outcome in found:
        config = outcome.run.config
        row = {
            "case": outcome.run.case,
            "method": outcome.run.method,
            "data": config.problem.seed,
            "seed": config.seed,
            "error": outcome.error,
            **_origin(RunFolder(outcome.run.folder)),
        }
        if outcome.run.datasets is None or outcome.error:
            rows.append(row | _numbers(outcome.metrics))
        else:
            shared = _numbers(outcome.metrics)
            rows += [row | shared | one for one in outcome.metrics["datasets"]]
    order = ["case", "method", "data", "seed", *COLUMNS, *ORIGIN, "error"]
    return pd.DataFrame(rows).reindex(columns=order).dropna(axis=1, how="all")


def _origin(folder: RunFolder) -> dict[str, Any]:
    """The version, the threads and the jobs beside; nothing if it never started."""
    if not (folder.path / "provenance.json").is_file():
        return {}
    told = folder.provenance
    return {
        "commit": (told["commit"] or "")[:7] or None,
        "dirty": told["dirty"],
        "threads": told["machine"]["threads"],
        "jobs": told.get("jobs"),  # older runs do not say
    }


def _numbers(metrics: Any) -> dict[str, Any]:
    return {name: metrics[name] for name in COLUMNS if name in metrics}
