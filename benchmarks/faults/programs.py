"""The programs to which something is done; each ends with the exit codes of `experiments.run`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import pytorch_lightning as pl

import pavi
from experiments.provenance import ROOT
from experiments.run import main
from pavi.data.stores import StoreWriter
from pavi.files import DiskFullError, write_text
from pavi.models import gaussian_random_effects
from pavi.training import GO_ON, ProcessLostError

STEPS, EVERY, LOG_EVERY = 240, 24, 4
RUN = (
    str(ROOT / "configs" / "debug" / "gre_affine.yaml"),
    f"train.steps={STEPS}",
    f"train.checkpoint_every={EVERY}",
    f"train.log_every={LOG_EVERY}",
)
ON_TWO = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
# A parcellation, whose posterior is streamed to the disk.
SUBJECTS, VERTICES, NETWORKS, PASSES, PARCELLATION_STEPS = 12, 128, 3, 2, 72
PARCELLATION_RUN = (
    str(ROOT / "configs" / "hcp_like" / "small.yaml"),
    f"networks={NETWORKS}",
    f"start.passes={PASSES}",
    f"train.steps={PARCELLATION_STEPS}",
    f"train.checkpoint_every={EVERY}",
    f"train.log_every={LOG_EVERY}",
    "train.batch.subject=3",
    "train.batch.vertex=64",
)


@final
@dataclass(frozen=True)
class Program:
    """A program that fits in a folder and goes on with what is there.

    Args:
        run: Fits, and returns the exit code.
        ranks: The number of its processes.
        prepare: Makes what it reads, beside the disk that it writes to, if it reads anything.
    """

    run: Callable[[Path], int]
    ranks: int
    prepare: Callable[[Path], None] | None = None


def _run(folder: Path) -> int:
    return main([*RUN, f"out={folder}"])


def _run_on_two(folder: Path) -> int:
    return main([*RUN, *ON_TWO, f"out={folder}"])


@final
class _Begin(pl.Callback):
    """Says from where a fit goes on, as `experiments.run` does."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say it."""
        if trainer.global_step:
            print(f"going on from step={trainer.global_step}", file=sys.stderr)


def _sharded_fit(folder: Path) -> int:
    """`pavi.fit` with half of the groups on each of two processes; every 24 steps a checkpoint."""
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 40, "obs": 5}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    try:
        posterior = pavi.fit(
            model,
            data,
            batch={"group": 4},
            steps=STEPS,
            checkpoints=folder / "checkpoints",
            shard="group",
            devices=2,
            accelerator="cpu",
            progress=False,
            callbacks=[_Begin()],
        )
    except ProcessLostError as error:
        print(error, file=sys.stderr)
        return GO_ON
    except DiskFullError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if pavi.training.rank_and_ranks(devices=2, accelerator="cpu")[0] == 0:
        posterior.save(folder / "posterior")
        write_text(folder / "metrics.json", "{}\n")
    return 0


def _fingerprints(folder: Path) -> Path:
    return folder.parents[1] / "fingerprints"


def _write_fingerprints(folder: Path) -> None:
    """A cohort of a dozen subjects, with networks that are far apart; written once."""
    store = _fingerprints(folder)
    if store.exists():
        return
    rng = np.random.default_rng(0)
    sessions, dim = 2, 4
    own = np.eye(NETWORKS, dim) + 0.2 * rng.normal(size=(SUBJECTS, sessions, NETWORKS, dim))
    labels = np.arange(VERTICES) % NETWORKS
    with StoreWriter(store, shape=(SUBJECTS, sessions, VERTICES, dim)) as writer:
        for subject in range(SUBJECTS):
            noise = 0.5 * rng.normal(size=(sessions, VERTICES, dim))
            writer.write(subject, own[subject][:, labels] + noise)
        writer.finish()


def _parcellation(folder: Path) -> int:
    return main([*PARCELLATION_RUN, f"cohort={_fingerprints(folder)}", f"out={folder}"])


ALONE, TWO, SHARDED = Program(_run, 1), Program(_run_on_two, 2), Program(_sharded_fit, 2)
PARCELLATION = Program(_parcellation, 1, _write_fingerprints)
