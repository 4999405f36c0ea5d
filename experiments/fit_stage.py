"""The fit of a run, whatever is fitted: where it goes on, its trainer, identity, log and end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger

from experiments.build import build_trainer
from experiments.config import RunConfig
from experiments.loggers import LoggerStartError, opened_logger
from experiments.provenance import provenance
from experiments.run_folder import RunFolder
from experiments.run_identity import RunIdentity, stored_run_id
from pavi import VariationalInference
from pavi.training import (
    Checkpoints,
    FitProgress,
    History,
    StepLog,
    StopSignals,
    checkpoint_to_resume,
    compiled,
    fit_until_stopped,
)
from pavi.training.quiet import quiet


@final
@dataclass(frozen=True)
class FitStage:
    """A fit that is ready to start or to go on; nothing is written yet. Made by `FitStage.of`.

    Args:
        config: Of the run.
        folder: Of the run.
        trainer: The trainer.
        history: The course of the ELBO.
        identity: The id of the run, in its checkpoints.
        stop: What ends it on a signal.
        resume: The checkpoint to go on from, if there is one.
    """

    config: RunConfig
    folder: RunFolder
    trainer: pl.Trainer
    history: History
    identity: RunIdentity
    stop: StopSignals
    resume: Path | None

    @classmethod
    def of(
        cls,
        config: RunConfig,
        folder: RunFolder,
        history: History,
        *,
        latents: int,
        sharded: bool = False,
        callbacks: Sequence[pl.Callback] = (),
        progress: bool = False,
    ) -> FitStage:
        """The fit of a run.

        Args:
            config: Of the run.
            folder: Of the run.
            history: Will hold the course of the ELBO.
            latents: The number of ground variables, by which the log divides.
            sharded: Whether every process has rows of its own.
            callbacks: Of this kind of run, which checkpoints hold.
            progress: Whether to show a bar.

        Raises:
            ValueError: If a checkpoint is damaged, or the machine lacks the devices.
        """
        every = config.train.checkpoint_every
        assert every is not None
        resume = checkpoint_to_resume(folder.checkpoints)
        identity, stop = RunIdentity(), StopSignals(keeps=True)
        all_callbacks: list[pl.Callback] = [
            history,
            identity,
            StepLog(num_latents=latents),
            stop,
            *callbacks,
            Checkpoints(folder.checkpoints, every=every, stop=stop),
        ]
        if progress:
            all_callbacks.append(FitProgress())
        with quiet():
            trainer = build_trainer(config, all_callbacks, sharded=sharded)
        return cls(config, folder, trainer, history, identity, stop, resume)

    @property
    def first(self) -> bool:
        """Whether this process is the first of the run, which writes and logs."""
        return self.trainer.is_global_zero

    @contextmanager
    def logged(self) -> Iterator[Logger]:
        """The log of the run, whose folder is there; closed at the end whatever happens.

        Raises:
            LoggerStartError: If the logger does not start.
        """
        if self.first:
            self.identity.run_id = self._run_id()
        run_id = self.identity.run_id
        with (
            quiet(),
            opened_logger(self.config, self.folder, run_id=run_id, first=self.first) as logger,
        ):
            self.trainer.loggers = [logger]
            yield logger

    def carry_out(
        self, work: Callable[[Logger], dict[str, Any]], *, command: Sequence[str]
    ) -> dict[str, Any]:
        """Make the folder, do the work with the log open, and write the metrics that it returns.

        Args:
            work: Fits and measures; its metrics are those of the first process.
            command: The command line, for the record.

        Returns:
            The metrics, without any work if the run is complete; none on other ranks.

        Raises:
            LoggerStartError: If the logger does not start; no folder is left.
        """
        folder = self.folder
        if (done := folder.metrics) is not None:
            return done if self.first else {}
        about = provenance(seed=self.config.seed, command=command) if self.first else {}
        made = self.first and folder.create(self.config, about)
        try:
            with self.logged() as logger:
                metrics = work(logger)
        except LoggerStartError:
            if made:
                folder.remove()
            raise
        if self.first:
            folder.write_metrics(metrics)
        return metrics

    def fit(self, module: VariationalInference, stream: pl.LightningDataModule) -> None:
        """Fit to the last step.

        Raises:
            NonFiniteLossError: If the loss becomes NaN or infinite; the last checkpoint stays.
            DiskFullError: If the disk is full; the last checkpoint stays.
            FitStopped: If SIGTERM or SIGUSR1 came, with a checkpoint of the step in which it came.
            ProcessLostError: If another process of the run was lost.
        """
        with compiled(module.guide, enabled=self.config.train.compile):
            fit_until_stopped(self.trainer, module, stream, stop=self.stop, resume=self.resume)

    def _run_id(self) -> str:
        """That of the run so far, that which a W&B agent gives, or one of our own."""
        if self.resume is not None and (kept := stored_run_id(self.resume)):
            return kept
        return os.environ.get("WANDB_RUN_ID") or self.folder.provenance["run_id"]
