"""The folder of a sweep."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from experiments.config import ExperimentConfig
from experiments.config_file import dump, plain
from experiments.folder_lock import LOCK, locked
from experiments.stored_config import config_changes, stored_config
from experiments.sweeps.config import SweepConfig
from experiments.sweeps.space import first_point, run_config
from pavi.files import write_text

# What may change between two starts of a sweep: where it runs, and how long it goes on.
FREE = ("out", "executor", "trials")


@final
@dataclass(frozen=True)
class SweepFolder:
    """What a sweep leaves behind.

    `sweep.yaml` and `base.yaml` (the runs' config at the first point), `provenance.json`,
    `study.db` (Optuna's), per trial and seed a run folder in `trials/`, and at the end the table
    as `trials.csv` and `trials.md` and its figure, `trials.png`.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def storage(self) -> str:
        """Where Optuna keeps the study."""
        return f"sqlite:///{(self.path / 'study.db').absolute()}"

    def run(self, trial: int, seed: int) -> Path:
        """The run folder of a trial and a seed."""
        return self.path.absolute() / "trials" / f"{trial:04d}" / f"seed-{seed}"

    def check(self, config: SweepConfig) -> None:
        """See whether a sweep may start or go on here.

        Raises:
            ValueError: If the folder holds something else, or another sweep.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder with out=...")
        there = {path.name for path in self.path.iterdir()} if self.path.exists() else set()
        if not there - {LOCK}:
            return
        if not (self.path / "sweep.yaml").is_file():
            raise ValueError(
                f"{self.path} exists and is not the folder of a sweep (it has no sweep.yaml); "
                "choose another with out=..."
            )
        stored = stored_config(self.path / "sweep.yaml")
        changes = config_changes(stored, plain(config), besides=FREE)
        if not changes:
            base = stored_config(self.path / "base.yaml")
            changes = config_changes(base, plain(_first(config)), besides=())
            changes = [f"in {config.config} {change}" for change in changes]
        if changes:
            raise ValueError(
                f"{self.path} holds another sweep: {'; '.join(changes)}. Choose another folder "
                "with out=..., or delete it."
            )

    def create(self, config: SweepConfig, provenance: Mapping[str, Any]) -> None:
        """Write what the sweep is; the last file written is the one that `check` looks for."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "sweep.yaml").is_file():
            write_text(self.path / "provenance.json", json.dumps(provenance, indent=1) + "\n")
            write_text(self.path / "base.yaml", dump(_first(config)))
        write_text(self.path / "sweep.yaml", dump(config))

    def locked(self) -> AbstractContextManager[int]:
        """Keep others out, see `experiments.folder_lock`."""
        return locked(self.path, what="sweep")


def _first(config: SweepConfig) -> ExperimentConfig:
    return run_config(config, first_point(config))
