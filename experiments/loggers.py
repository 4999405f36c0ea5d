"""The loggers of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from pytorch_lightning.loggers import Logger, TensorBoardLogger, WandbLogger

from experiments.choices import LoggerName
from experiments.config import RunConfig
from experiments.config_file import plain
from experiments.csv_log import CSVLog
from experiments.run_folder import RunFolder

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

INIT_TIMEOUT = 30.0  # seconds to wait for the server before going offline
FINISH_TIMEOUT = 120.0  # seconds to wait at the end for what is not sent yet


class LoggerStartError(ValueError):
    """A logger was asked for something it does not know; nothing has been logged."""


def check_logger(name: LoggerName) -> None:
    """See whether the package of a logger is installed.

    Raises:
        ValueError: If it is not.
    """
    if name is not LoggerName.CSV and find_spec(name) is None:
        raise ValueError(
            f"logger={name} needs the package {name}: pip install 'pavi-torch[experiments]'; "
            "logger=csv needs none."
        )


@contextmanager
def opened_logger(
    config: RunConfig, folder: RunFolder, *, run_id: str | None, first: bool
) -> Iterator[Logger]:
    """The logger of a run, closed at the end whatever happens.

    Every start of a run has a log of its own, `logs/version_0` and so on; a resumed one begins
    with the step after its checkpoint. To W&B it is the same run, by its id.

    Args:
        config: Of the run.
        folder: Of the run.
        run_id: By which W&B knows it; only the first process needs it.
        first: Whether this process is the first of the run, the only one that logs.

    Raises:
        LoggerStartError: If W&B refuses to start.
    """
    if config.logger is LoggerName.WANDB:
        run = _start_wandb(config, folder, run_id) if first else None
        code = 1
        try:
            yield WandbLogger(experiment=run)
            code = 0
        finally:
            if run is not None:
                run.finish(exit_code=code)
    elif config.logger is LoggerName.TENSORBOARD:
        yield TensorBoardLogger(folder.path, name="logs", default_hp_metric=False)
    else:
        yield CSVLog(folder.path / "logs")


def log_end(
    logger: Logger, metrics: Mapping[str, Any], figures: Mapping[str, Figure], *, step: int
) -> None:
    """Log what a run ended with, as `final/...` and `figures/...`; a gap is `val/gap` too.

    Args:
        logger: Of the run, on its first process.
        metrics: By name; of these the numbers are logged.
        figures: By name; a table of numbers shows none.
        step: The number of steps that were done.
    """
    final = {f"final/{k}": v for k, v in metrics.items() if isinstance(v, int | float)}
    if "gap" in metrics:
        final["val/gap"] = metrics["gap"]
    logger.log_metrics(final, step=step)
    drawn = {f"figures/{name}": figure for name, figure in figures.items()}
    if isinstance(logger, WandbLogger):
        import wandb

        # At a pixel density for screens.
        images = {name: wandb.Image(figure) for name, figure in drawn.items()}
        logger.experiment.log({**images, "trainer/global_step": step})
    elif isinstance(logger, TensorBoardLogger):
        for name, figure in drawn.items():
            logger.experiment.add_figure(name, figure, step, close=False)
    logger.save()


def _start_wandb(config: RunConfig, folder: RunFolder, run_id: str | None) -> Run:
    """A W&B run; offline, and saying so, where the server would have to be waited for."""
    import wandb

    def start(mode: str) -> Run:
        timeout = float(os.environ.get("WANDB_INIT_TIMEOUT", INIT_TIMEOUT))
        run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pavi"),
            dir=folder.path,
            id=run_id,
            name=folder.path.name,
            config=plain(config),
            mode=mode,  # type: ignore[arg-type]  # checked by W&B
            resume="allow",
            settings=wandb.Settings(init_timeout=timeout, finish_timeout=FINISH_TIMEOUT),
        )
        run.define_metric("trainer/global_step")
        run.define_metric("*", step_metric="trainer/global_step", step_sync=True)
        return run

    try:
        if (mode := os.environ.get("WANDB_MODE", "online")) != "online":
            return start(mode)
        try:
            if wandb.login(prompt=False):
                return start("online")
            _say("not logged in to W&B")
        except wandb.errors.CommError as error:
            _say(f"W&B cannot be reached ({str(error).splitlines()[0]})")
        return start("offline")
    except Exception as error:  # of a service anything may come
        raise LoggerStartError(
            f"logger=wandb cannot start: {str(error).strip() or type(error).__name__}. Look at "
            "the variables WANDB_... of the environment, or choose logger=csv."
        ) from error


def _say(message: str) -> None:
    print(f"{message}; this run is logged offline. `wandb sync` sends it later.", file=sys.stderr)
