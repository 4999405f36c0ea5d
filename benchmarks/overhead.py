"""The step of the framework over a bare loop on the same objective, alternating in one run.

python -m benchmarks.overhead
"""

from __future__ import annotations

import argparse
import tempfile
import time
from statistics import median

import pytorch_lightning as pl
from pytorch_lightning.loggers import CSVLogger
from rich.progress import track

import pavi
from benchmarks.report import report
from pavi.data import PlateBatches
from pavi.models import gaussian_random_effects
from pavi.training import FitProgress

BATCH = {"group": 20}


def problem() -> tuple[pavi.PlateAmortizedGuide, pavi.PlateData]:
    """A fresh guide and data of 300 groups of 50 observations."""
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 300, "obs": 50}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    return pavi.PlateAmortizedGuide(model, data.cardinalities), data


def bare(steps: int) -> float:
    """Seconds per step of a plain torch loop."""
    guide, data = problem()
    batches = PlateBatches(data, batch=BATCH, seed=0)
    objective, optimization = pavi.ReducedELBO(), pavi.Optimization()
    optimizer = optimization.optimizer(guide)
    scheduler, clipping = optimization.scheduler(optimizer, steps), optimization.clipping()
    warm_up = pavi.WarmUp()
    start = time.perf_counter()
    for step in range(steps):
        optimizer.zero_grad()
        emphasis = warm_up.emphasis(step / steps)
        objective(guide, batches[step], emphasis=emphasis).loss.backward()
        clipping(guide.parameters())
        optimizer.step()
        scheduler.step()
    return (time.perf_counter() - start) / steps


def framework(steps: int) -> float:
    """Seconds per step of the same under Lightning, with progress bar and logging."""
    guide, data = problem()
    with tempfile.TemporaryDirectory() as folder:
        clock = _Clock()
        trainer = pl.Trainer(
            max_steps=steps,
            accelerator="cpu",
            logger=CSVLogger(folder),
            callbacks=[FitProgress(), clock],
            enable_progress_bar=False,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        module = pavi.VariationalInference(guide)
        trainer.fit(module, pavi.PlateDataModule(data, batch=BATCH))
    return clock.seconds / steps


class _Clock(pl.Callback):
    """Times the loop from the first batch to the end."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._start = time.perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.seconds = time.perf_counter() - self._start


def main() -> None:
    """Alternate, and report the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    bare(50)
    framework(50)
    pairs = [
        (framework(arguments.steps), bare(arguments.steps))
        for _ in track(range(arguments.rounds), "overhead", transient=True)
    ]
    report(
        {
            "ratio": median(ours / plain for ours, plain in pairs),
            "ratios": [ours / plain for ours, plain in pairs],
            "framework_ms": 1e3 * median(ours for ours, _ in pairs),
            "bare_ms": 1e3 * median(plain for _, plain in pairs),
        }
    )


if __name__ == "__main__":
    main()
