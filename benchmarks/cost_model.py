"""The constants of the cost model of sharded runs, and what it predicts.

python -m benchmarks.cost_model --out results/scaling

Measured are the time of a step by what it draws and by the cardinality, the bytes that two ranks
send, the bytes of parameters and optimiser on a rank, and the time of an all-reduce by its size.
The formulas are those of `benchmarks.ranks.costs`. Written are `costs.json`, and `costs.md`, which
`docs/scaling.md` shows. Times mean something on an idle machine with two cores only.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.ranks.costs import Costs, Network, Step
from benchmarks.ranks.launch import launched
from benchmarks.ranks.workload import Workload
from benchmarks.report import report
from pavi.files import write_text

WORKER, COLLECTIVES = "benchmarks.ranks.worker", "benchmarks.ranks.collectives"
DRAWN = ((1, 64), (2, 128), (4, 256), (8, 256))
SUBJECTS = (8, 64, 512)
VERTICES = 512
# What is predicted: as many subjects as a biobank has, each rank a GPU of a node of eight.
HEADLINE = Workload(subjects=100_000, vertices=59_412)
RANKS = (1, 8, 64)
# Assumed, not measured: 5 microseconds a hop and 200 Gbit/s of a rank between nodes; 2 GB/s of a
# rank to a parallel file system.
CLUSTER = Network(latency=5e-6, bandwidth=25e9)
DISK = 2e9
KINDS = {"PAVI-E": False, "PAVI-F": True}


def options(workload: Workload) -> list[object]:
    """The command line of a worker."""
    sizes = ["--subjects", workload.subjects, "--vertices", workload.vertices]
    free = ["--free"] if workload.free else []
    return [*sizes, "--drawn", *workload.drawn, *free]


def measured(steps: int) -> dict[str, Any]:
    """Everything that is measured."""
    found: dict[str, Any] = {}
    for kind, free in KINDS.items():
        base = Workload(vertices=VERTICES, free=free)
        drawn, cardinality = {}, {}
        for sizes in track(DRAWN, f"{kind}: drawn", transient=True):
            one = launched(WORKER, *options(replace(base, drawn=sizes)), "--steps", steps, ranks=1)
            drawn[prod(sizes)] = one["step_ms"]
            if sizes == Workload.drawn:
                times = one["steps_ms"]
        for subjects in track(SUBJECTS, f"{kind}: cardinality", transient=True):
            workload = replace(base, subjects=subjects)
            alone = launched(WORKER, *options(workload), "--steps", steps, ranks=1)
            both = launched(WORKER, *options(workload), "--steps", 20, "--count", ranks=2)
            cardinality[subjects] = {
                "latents": workload.latents,
                "step_ms": alone["step_ms"],
                "peak_rss_gb": alone["peak_rss_gb"],
                "state_bytes": {1: alone["state_bytes"], 2: both["state_bytes"]},
                "bytes_per_step": both["bytes_per_step"],
            }
        found[kind] = {"drawn": drawn, "cardinality": cardinality, "steps_ms": times}
    found["microseconds"] = launched(COLLECTIVES, ranks=2)["microseconds"]
    return found


def fitted(found: dict[str, Any]) -> tuple[dict[str, Step], Network]:
    """The constants."""
    steps = {
        kind: Step.fitted(
            {int(n): 1e-3 * ms for n, ms in found[kind]["drawn"].items()}, found[kind]["steps_ms"]
        )
        for kind in KINDS
    }
    here = Network.fitted({int(n): us for n, us in found["microseconds"].items()}, ranks=2)
    return steps, here


def compared(found: dict[str, Any], steps: dict[str, Step], here: Network) -> list[str]:
    """The formulas beside what was measured, as lines of a table."""
    lines = [
        "| | ground variables | bytes a step, formula | measured | bytes of parameters and "
        "optimiser on one of two ranks, formula | measured | ms a step on one rank |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind, free in KINDS.items():
        for subjects, one in found[kind]["cardinality"].items():
            workload = Workload(subjects=int(subjects), vertices=VERTICES, free=free)
            costs = workload.costs(step=steps[kind], network=here)
            state = {int(ranks): size for ranks, size in one["state_bytes"].items()}
            lines.append(
                f"| {kind} | {one['latents']:,} | {costs.bytes_per_step:,.0f} | "
                f"{one['bytes_per_step']:,.0f} | {costs.state_bytes(2):,.0f} | {state[2]:,} | "
                f"{one['step_ms']:.1f} |"
            )
    return lines


def predicted(steps: dict[str, Step]) -> list[str]:
    """What the headline costs, as lines of a table."""
    lines = [
        "| | ranks | ms a step | subjects x vertices a second | efficiency | bytes a step | "
        "GB of parameters and optimiser a rank | seconds of a checkpoint |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, free in KINDS.items():
        costs = replace(HEADLINE, free=free).costs(step=steps[kind], network=CLUSTER)
        alone = costs.step_seconds(1)
        for ranks in RANKS:
            seconds = costs.step_seconds(ranks)
            state = costs.state_bytes(ranks)
            lines.append(
                f"| {kind} | {ranks} | {1e3 * seconds:.1f} | {ranks * costs.drawn / seconds:,.0f} "
                f"| {100 * alone / seconds:.0f}% | {costs.bytes_per_step:,.0f} | "
                f"{state / 1e9:.3g} | {state / DISK:.2g} |"
            )
    return lines


def constants(steps: dict[str, Step], here: Network) -> list[str]:
    """The fitted constants, as lines of a table."""
    lines = ["| constant | value |", "|---|---|"]
    for kind, step in steps.items():
        lines += [
            f"| {kind}: a step of nothing | {1e3 * step.fixed:.1f} ms |",
            f"| {kind}: a subject x vertex | {1e6 * step.each:.2f} us |",
            f"| {kind}: the slowest of 2, 8, 64 ranks over the mean | "
            f"{', '.join(f'{step.slowest(ranks):.2f}' for ranks in (2, 8, 64))} |",
        ]
    return [
        *lines,
        f"| gloo between two processes here: a hop | {1e6 * here.latency:.0f} us |",
        f"| and its bandwidth | {here.bandwidth / 1e9:.2g} GB/s |",
    ]


def main() -> None:
    """Measure or read, fit and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/scaling"))
    parser.add_argument("--steps", type=int, default=400, help="of a timed run")
    parser.add_argument("--again", action="store_true", help="from costs.json, without measuring")
    given = parser.parse_args()
    file = given.out / "costs.json"
    found = json.loads(file.read_text()) if given.again else measured(given.steps)
    given.out.mkdir(parents=True, exist_ok=True)
    write_text(file, json.dumps(found, indent=1) + "\n")
    steps, here = fitted(json.loads(file.read_text()))
    parts = [
        "Constants, fitted:\n",
        *constants(steps, here),
        "\nThe formulas beside measurements:\n",
        *compared(found, steps, here),
        f"\nPrediction for {HEADLINE.subjects:,} subjects x {HEADLINE.vertices:,} vertices:\n",
        *predicted(steps),
    ]
    write_text(given.out / "costs.md", "\n".join(parts) + "\n")
    costs: dict[str, Costs] = {
        kind: replace(HEADLINE, free=free).costs(step=steps[kind], network=CLUSTER)
        for kind, free in KINDS.items()
    }
    report(
        {
            "efficiency_on_64": {
                kind: one.step_seconds(1) / one.step_seconds(64) for kind, one in costs.items()
            },
            "gb_on_64": {kind: one.state_bytes(64) / 1e9 for kind, one in costs.items()},
        }
    )


if __name__ == "__main__":
    main()
