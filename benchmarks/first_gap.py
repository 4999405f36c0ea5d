"""The time to a gap on Gaussian random effects, whole process and training alone.

python -m benchmarks.first_gap --guide pavi_e --groups 30000

The peer of `benchmarks/peers/mean_field.py`: the same data, the same levels. Training does not
count the measurement of gaps; `process` is training and all that came before it, from the start of
the interpreter.
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

from benchmarks.report import report  # noqa: E402
from experiments.config_file import load  # noqa: E402
from experiments.run import carry_out, prepare  # noqa: E402

LEVELS = (0.05, 0.005)


def main() -> None:
    """Train, measure gaps in the course of it, and report when they first fell to the levels."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--guide", choices=("pavi_e", "pavi_f"), default="pavi_e")
    parser.add_argument("--groups", type=int, default=300)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--points", type=int, default=60, help="at which gaps are measured")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        overrides = [
            f"problem.groups={arguments.groups}",
            f"train.steps={arguments.steps}",
            f"course={arguments.points}",
            "eval_draws=8",
            f"out={Path(folder) / 'run'}",
        ]
        prepared = prepare(load(f"configs/gre/{arguments.guide}.yaml", overrides))
        before = time.perf_counter() - BEGAN
        metrics = carry_out(prepared)
    course, latents = metrics["course"], metrics["num_latents"]
    training: dict[str, float] = {}
    for seconds, gap in zip(course["seconds"], course["gaps"], strict=True):
        for level in LEVELS:
            if gap / latents <= level:
                training.setdefault(f"{level:g}", seconds)
    report(
        {
            "groups": arguments.groups,
            "training": training,
            "process": {level: before + seconds for level, seconds in training.items()},
            "seconds": course["seconds"][-1],
            "gap_per_latent": course["gaps"][-1] / latents,
            "num_parameters": metrics["num_parameters"],
        }
    )


if __name__ == "__main__":
    main()
