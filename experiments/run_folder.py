"""The folder of a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from experiments.config_file import dump, plain
from experiments.json_file import read_json
from experiments.stored_config import config_changes, stored_config
from pavi.files import check_writable, whole_folder, write_text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


@final
@dataclass(frozen=True)
class RunFolder:
    """What a run leaves behind.

    `config.yaml` (resolved), `provenance.json`, `logs/`, `checkpoints/`, and at the end
    `posterior/` and `metrics.json`.

    Args:
        path: The folder.
        option: By which a user chooses another one, in messages.
    """

    path: Path
    option: str = "out=..."

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def posterior(self) -> Path:
        """The saved posterior."""
        return self.path / "posterior"

    @property
    def is_begun(self) -> bool:
        """Whether a run has been begun here."""
        return (self.path / "config.yaml").is_file()

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the run comes from.

        Raises:
            ValueError: If the file is lost or damaged.
        """
        file = self.path / "provenance.json"
        remedy = f"Delete the folder to begin anew, or choose another with {self.option}"
        if (held := read_json(file, remedy=remedy)) is None:
            raise ValueError(f"{self.path} has lost its {file.name}. {remedy}")
        return dict(held)

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The final metrics, once the run is complete.

        Raises:
            ValueError: If the file is damaged.
        """
        held: dict[str, Any] | None = read_json(self.path / "metrics.json")
        return held

    def check(self, config: DataclassInstance) -> None:
        """See whether a run of `config` may start or go on here.

        Raises:
            ValueError: If the folder holds something else, a file is in its way, or its config
                cannot be read.
        """
        check_writable(self.path)
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        file = self.path / "config.yaml"
        if not file.is_file():
            raise ValueError(
                f"{self.path} exists and is not a run folder (it has no config.yaml); "
                f"choose another with {self.option}"
            )
        given = plain(config)
        # A sharded run goes on on any number of devices.
        movable = ("trainer.devices", "trainer.nodes") if given["trainer"].get("shard") else ()
        if changes := config_changes(stored_config(file), given, besides=("out", *movable)):
            raise ValueError(
                f"{self.path} holds a run of another config: {'; '.join(changes)}. "
                f"Choose another folder with {self.option}, or delete it."
            )

    def create(self, config: DataclassInstance, provenance: Mapping[str, Any]) -> bool:
        """Make the folder, all of it or nothing; one that a run of this config left stays.

        Returns:
            Whether it was made.
        """
        if self.is_begun:
            return False
        with whole_folder(self.path) as fresh:
            (fresh / "config.yaml").write_text(dump(config))
            (fresh / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
        return True

    def remove(self) -> None:
        """Remove the folder of a run that did not start."""
        shutil.rmtree(self.path)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the final metrics, which marks the run as complete."""
        write_text(self.path / "metrics.json", json.dumps(metrics, indent=1) + "\n")
