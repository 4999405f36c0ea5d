"""Two ranks of one thread each beside one: throughput, bytes that travel, and the final gap.

python -m benchmarks.ddp

A rank draws 4 subjects x 256 vertices x 2 sessions x 64 dimensions of the cohort's model (PAVI-E).
One rank, two ranks, and two runs that know nothing of each other step in turns of a second
(`benchmarks.ranks.turns`); a ratio is the median over rounds of such turns, with their quartiles.
`throughput_ratio` is that of two ranks to one; `throughput_ratio_apart` that of the two runs,
which is what the machine gives two processes at all: with memory and caches in common that can be
less than two, and no way of exchanging weights gets above it. An idle machine with a core per rank
is needed. `bytes_per_step` is what a rank hands to collectives, by the number of ground variables;
`gap_difference` is in nats, on Gaussian random effects, whose evidence is known, with as many
groups a step on two ranks as on one.
"""

from __future__ import annotations

import argparse
from statistics import median, quantiles

from rich.progress import track

from benchmarks.ranks.launch import launched
from benchmarks.ranks.turns import step_seconds
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
    parser.add_argument("--rounds", type=int, default=60, help="of turns")
    parser.add_argument("--gap-steps", type=int, default=2000)
    given = parser.parse_args()
    rounds = step_seconds(WORKER, [[1], [2], [1, 1]], turns=given.rounds)
    alone, together = [r[0][0] for r in rounds], [r[1][0] for r in rounds]
    # Two ranks take two steps of one; of two runs each takes its own.
    ratios = [2 * one / two for one, two in zip(alone, together, strict=True)]
    apart = [one * sum(1 / run for run in r[2]) for one, r in zip(alone, rounds, strict=True)]
    gaps = [
        launched(GAP, "--steps", given.gap_steps, ranks=ranks)
        for ranks in track((1, 2), "gap", transient=True)
    ]
    step_ms = {1: 1e3 * median(alone), 2: 1e3 * median(together)}
    report(
        {
            "throughput_ratio": median(ratios),
            "throughput_ratio_quartiles": quantiles(ratios),
            "throughput_ratio_apart": median(apart),
            "throughput_ratio_apart_quartiles": quantiles(apart),
            "rounds": len(rounds),
            "throughput": {n: throughput(ms, ranks=n) for n, ms in step_ms.items()},
            "step_ms": step_ms,
            "bytes_per_step": counted_bytes(),
            "bytes_per_step_free": counted_bytes("--free"),
            "gap_difference": gaps[1]["gap"] - gaps[0]["gap"],
            "gaps": {n: found["gap"] for n, found in enumerate(gaps, 1)},
            "latents_of_gaps": gaps[0]["latents"],
        }
    )


if __name__ == "__main__":
    main()
