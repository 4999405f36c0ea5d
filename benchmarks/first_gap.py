"""The time to a gap on Gaussian random effects, whole process and training alone.

python -m benchmarks.first_gap --guide pavi_e --groups 30000

The peer of `benchmarks/peers/mean_field.py`: the same data, the same levels. Training does not
count the measurement of gaps; `process` adds what came before training, from the start of the
interpreter on. A level is reached where the gap, an estimate from a sample of the groups, falls
below it for good.
"""

from __future__ import annotations

import time

BEGAN = time.perf_counter()

import argparse  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import final  # noqa: E402

import pytorch_lightning as pl  # noqa: E402

from benchmarks.report import report  # noqa: E402
from experiments.config_file import load  # noqa: E402
from experiments.run import carry_out, prepare  # noqa: E402

LEVELS = (0.05, 0.005)


@final
class Started(pl.Callback):
    """Notes how long after the start of the interpreter training began."""

    after = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note it."""
        self.after = time.perf_counter() - BEGAN


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
        started = Started()
        prepared.trainer.callbacks.append(started)  # type: ignore[attr-defined]
        metrics = carry_out(prepared)
    course, latents = metrics["course"], metrics["num_latents"]
    training: dict[str, float] = {}
    for level in LEVELS:
        above = [gap / latents > level for gap in course["gaps"]]
        first = len(above) - above[::-1].index(True) if True in above else 0
        if first < len(above):
            training[f"{level:g}"] = course["seconds"][first]
    report(
        {
            "groups": arguments.groups,
            "training": training,
            "process": {level: started.after + seconds for level, seconds in training.items()},
            "seconds": course["seconds"][-1],
            "gap_per_latent": course["gaps"][-1] / latents,
            "num_parameters": metrics["num_parameters"],
        }
    )


if __name__ == "__main__":
    main()
