"""The loggers of a run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger

from experiments.choices import LoggerName
from experiments.config import ExperimentConfig
from experiments.config_file import plain
from experiments.run_folder import RunFolder

if TYPE_CHECKING:
    from wandb.sdk.wandb_run import Run

WANDB_TIMEOUT = 30  # seconds to wait for the server before going offline


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
def opened_logger(config: ExperimentConfig, folder: RunFolder, *, first: bool) -> Iterator[Logger]:
    """The logger of a run, closed at the end whatever happens.

    Every start of a run has a log of its own, `logs/version_0` and so on; a resumed one begins
    with the step after its checkpoint.

    Args:
        config: Of the run.
        folder: Of the run.
        first: Whether this process is the first of the run, the only one that logs.
    """
    if config.logger is LoggerName.WANDB:
        run = _start_wandb(config, folder) if first else None
        code = 1
        try:
            yield WandbLogger(experiment=run)
            code = 0
        finally:
            if run is not None:
                run.finish(exit_code=code)
    elif config.logger is LoggerName.TENSORBOARD:
        yield TensorBoardLogger(folder.path, name="logs")
    else:
        yield CSVLogger(folder.path, name="logs")


def _start_wandb(config: ExperimentConfig, folder: RunFolder) -> Run:
    """A W&B run; offline, and saying so, where the server would have to be waited for."""
    import wandb

    def start(mode: Literal["online", "offline"] | None) -> Run:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "pavi"),
            dir=folder.path,
            id=folder.provenance["run_id"],
            name=folder.path.name,
            config=plain(config),
            mode=mode,
            resume="allow" if mode == "online" else None,
            settings=wandb.Settings(init_timeout=WANDB_TIMEOUT),
        )

    if os.environ.get("WANDB_MODE", "online") != "online":
        return start(None)
    if not wandb.login(prompt=False):
        _say("not logged in to W&B; this run is logged offline")
        return start("offline")
    try:
        return start("online")
    except wandb.errors.CommError as error:
        _say(f"W&B cannot be reached ({str(error).splitlines()[0]}); this run is logged offline")
        return start("offline")


def _say(message: str) -> None:
    print(f"{message}. `wandb sync` sends it later.", file=sys.stderr)
