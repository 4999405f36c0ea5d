"""The folder of a run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import yaml

from experiments.config import ExperimentConfig
from experiments.config_file import dump, plain


@final
@dataclass(frozen=True)
class RunFolder:
    """What a run leaves behind.

    `config.yaml` (resolved), `provenance.json`, `logs/`, `checkpoints/`, and at the end
    `posterior/` and `metrics.json`.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def posterior(self) -> Path:
        """The saved posterior."""
        return self.path / "posterior"

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the run comes from."""
        return json.loads((self.path / "provenance.json").read_text())

    @property
    def metrics(self) -> dict[str, Any] | None:
        """The final metrics, once the run is complete."""
        file = self.path / "metrics.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def check(self, config: ExperimentConfig) -> None:
        """See whether a run of `config` may start or go on here.

        Raises:
            ValueError: If the folder holds something else, a file is in its way, or its config
                cannot be read.
        """
        for above in self.path.parents:
            if above.exists():
                if not above.is_dir():
                    raise ValueError(
                        f"{self.path} cannot be a folder, because {above} is a file; "
                        "choose another with out=..."
                    )
                break
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        file = self.path / "config.yaml"
        if not file.is_file():
            raise ValueError(
                f"{self.path} exists and is not a run folder (it has no config.yaml); "
                "choose another with out=..."
            )
        stored, given = _flat(_stored(file)), _flat(plain(config))
        changes = [
            f"{key} is {stored.get(key)} there and {given.get(key)} here"
            for key in dict.fromkeys([*stored, *given])
            if key != "out" and stored.get(key) != given.get(key)
        ]
        if changes:
            raise ValueError(
                f"{self.path} holds a run of another config: {'; '.join(changes)}. "
                "Choose another folder with out=..., or delete it."
            )

    def create(self, config: ExperimentConfig, provenance: Mapping[str, Any]) -> bool:
        """Make the folder, all of it or nothing; one that a run of this config left stays.

        Returns:
            Whether it was made.
        """
        if (self.path / "config.yaml").is_file():
            return False
        fresh = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        fresh.mkdir(parents=True)
        try:
            (fresh / "config.yaml").write_text(dump(config))
            (fresh / "provenance.json").write_text(json.dumps(provenance, indent=1) + "\n")
            os.replace(fresh, self.path)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        return True

    def remove(self) -> None:
        """Remove the folder of a run that did not start."""
        shutil.rmtree(self.path)

    def write_metrics(self, metrics: Mapping[str, Any]) -> None:
        """Write the final metrics, which marks the run as complete."""
        fresh = self.path / ".metrics.json"
        fresh.write_text(json.dumps(metrics, indent=1) + "\n")
        os.replace(fresh, self.path / "metrics.json")


def _stored(file: Path) -> dict[str, Any]:
    """The config of the run that is there."""
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        why = f"it is not valid YAML: {error}"
    else:
        if isinstance(found, dict):
            return found
        kind = "empty" if found is None else f"a {type(found).__name__}"
        why = f"it must be a mapping of keys to values, and is {kind}"
    raise ValueError(
        f"{file} does not say what run is there: {why}. Delete {file.parent}, or choose another "
        "folder with out=..."
    )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
