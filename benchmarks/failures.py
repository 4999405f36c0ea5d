"""Rank failures against the interval of checkpoints: a simulation, beside Young's and Daly's.

python -m benchmarks.failures --figure docs/failures.png

Three runs of an hour of work on 64 ranks, by the mean time between failures of a rank and the time
of a checkpoint. Every point is the mean of seeded simulations.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from benchmarks.ranks.failures import Failures
from benchmarks.report import report

HOUR, DAY = 3600.0, 86400.0
WORK = HOUR
CASES = {
    "preemptible, PAVI-F": Failures(2 * DAY, 64, checkpoint=7.0, restart=60.0),
    "preemptible, PAVI-E": Failures(2 * DAY, 64, checkpoint=0.2, restart=60.0),
    "a cluster, PAVI-F": Failures(2000 * DAY, 64, checkpoint=7.0, restart=60.0),
}
# An hour in equal pieces.
INTERVALS = WORK / np.unique(np.geomspace(1, 1200, 28).round())[::-1]


def measured(runs: int, seed: int) -> dict[str, dict[str, Any]]:
    """Time beyond the work, as a share of it, by interval."""
    found = {}
    for number, (name, failures) in enumerate(track(CASES.items(), "failures", transient=True)):
        rng = np.random.default_rng([seed, number])
        times = [failures.simulated(WORK, tau, runs=runs, rng=rng) for tau in INTERVALS]
        means = np.array([time.mean() for time in times])
        errors = np.array([time.std() / runs**0.5 for time in times])
        best = failures.best_interval()
        at_best = failures.simulated(WORK, min(best, WORK), runs=runs, rng=rng).mean()
        found[name] = {
            "mean_seconds_between_failures": failures.mean,
            "intervals": INTERVALS.tolist(),
            "overhead": (means / WORK - 1).tolist(),
            "error": (errors / WORK).tolist(),
            "expected": [failures.expected(WORK, tau) / WORK - 1 for tau in INTERVALS],
            "best_simulated": float(INTERVALS[means.argmin()]),
            "young": best,
            "overhead_at_young": float(at_best / WORK - 1),
            "lowest_overhead": float(means.min() / WORK - 1),
        }
    return found


def draw(found: dict[str, dict[str, Any]], path: Path) -> None:
    """The overhead by interval, simulated and expected, with Young's interval."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    for color, (name, one) in zip(("C0", "C1", "C2"), found.items(), strict=False):
        percent = 100 * np.array(one["overhead"])
        axes.errorbar(
            one["intervals"], percent, 200 * np.array(one["error"]), fmt="o", ms=3, color=color
        )
        axes.plot(one["intervals"], 100 * np.array(one["expected"]), color=color, label=name)
        axes.axvline(one["young"], color=color, ls=":", lw=1)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="seconds of work between checkpoints",
        ylabel="time beyond the work, %",
    )
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Simulate, draw and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=2000, help="simulations of a point")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    found = measured(given.runs, given.seed)
    if given.figure is not None:
        draw(found, given.figure)
    keep = ("young", "best_simulated", "overhead_at_young", "lowest_overhead")
    report({name: {key: one[key] for key in keep} for name, one in found.items()})


if __name__ == "__main__":
    main()
