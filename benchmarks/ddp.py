"""Two ranks of one thread each beside one: throughput, bytes that travel, and the final gap.

python -m benchmarks.ddp

A rank draws 4 subjects x 256 vertices x 2 sessions x 64 dimensions of the cohort's model (PAVI-E).
Runs on one and on two ranks alternate; the ratio is the median of those of the pairs. An idle
machine with a core per rank is needed for it to mean anything. `bytes_per_step` is what a rank
hands to collectives, by the number of ground variables; `gap_difference` is in nats, on Gaussian
random effects, whose evidence is known, with as many groups a step on two ranks as on one.
"""

from __future__ import annotations

import argparse
from statistics import median

from rich.progress import track

from benchmarks.ranks.launch import launched
from benchmarks.ranks.workload import Workload
from benchmarks.report import report

WORKER, GAP = "benchmarks.ranks.worker", "benchmarks.ranks.gap"
CARDINALITIES = (8, 64, 512)  # subjects
VERTICES, COUNTED = 512, 20


def throughput(milliseconds: float, *, ranks: int) -> float:
    """Subjects x vertices per second."""
    subjects, vertices = Workload.drawn
    return ranks * subjects * vertices / milliseconds * 1e3


def counted_bytes(*options: str) -> dict[str, float]:
    """Bytes per step by the number of ground variables."""
    found = {}
    for subjects in track(CARDINALITIES, "bytes", transient=True):
        sizes = ("--subjects", subjects, "--vertices", VERTICES, "--steps", COUNTED)
        one = launched(WORKER, *sizes, "--count", *options, ranks=2)
        found[f"{one['latents']:,}"] = one["bytes_per_step"]
    return found


def main() -> None:
    """Measure, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="pairs of runs")
    parser.add_argument("--steps", type=int, default=500, help="of a run")
    parser.add_argument("--gap-steps", type=int, default=2000)
    given = parser.parse_args()
    rounds = [
        [launched(WORKER, "--steps", given.steps, ranks=ranks)["step_ms"] for ranks in (1, 2)]
        for _ in track(range(given.rounds), "throughput", transient=True)
    ]
    gaps = [
        launched(GAP, "--steps", given.gap_steps, ranks=ranks)
        for ranks in track((1, 2), "gap", transient=True)
    ]
    step_ms = [median(times) for times in zip(*rounds, strict=True)]
    report(
        {
            "throughput_ratio": median(2 * one / two for one, two in rounds),
            "throughput": {n: throughput(ms, ranks=n) for n, ms in enumerate(step_ms, 1)},
            "step_ms": dict(enumerate(step_ms, 1)),
            "bytes_per_step": counted_bytes(),
            "bytes_per_step_free": counted_bytes("--free"),
            "gap_difference": gaps[1]["gap"] - gaps[0]["gap"],
            "gaps": {n: found["gap"] for n, found in enumerate(gaps, 1)},
            "latents_of_gaps": gaps[0]["latents"],
        }
    )


if __name__ == "__main__":
    main()
