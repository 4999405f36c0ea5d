"""What the run of a parcellation keeps in its folder, beside what every run keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from experiments.json_file import AGAIN, read_json
from experiments.parcellation.start import Start
from pavi.files import whole_file, write_text

STAGES = ("start", "train", "posterior")  # of which seconds are kept


@final
@dataclass(frozen=True)
class RunFiles:
    """The files of a run; each appears whole or not at all.

    `start-N.safetensors` after N passes, `weights.safetensors` of the fitted guide,
    `history.json`, `labels/` (a store of probabilities, subject x vertex x network),
    `elbo.safetensors`, `group.safetensors`, and `timings.json`.

    Args:
        path: The run folder.
        writes: Whether this process writes; to others nothing happens where they would.
    """

    path: Path
    writes: bool = True

    @property
    def labels(self) -> Path:
        """The store of label probabilities."""
        return self.path / "labels"

    def tensors(self, name: str) -> dict[str, Tensor] | None:
        """The tensors of a file, or None where it is not there yet.

        Raises:
            ValueError: If it is damaged.
        """
        file = self.path / f"{name}.safetensors"
        if not file.is_file():
            return None
        try:
            return load_file(file)
        except SafetensorError as error:
            raise ValueError(f"{file} is damaged: {error}. {AGAIN}") from error

    def write_tensors(self, name: str, tensors: dict[str, Tensor]) -> None:
        """Write a file of tensors."""
        if not self.writes:
            return
        held = save({key: value.contiguous() for key, value in tensors.items()})
        path = self.path / f"{name}.safetensors"
        with whole_file(path, binary=True, needed=len(held)) as file:
            file.write(held)

    def start(self, passes: int) -> Start | None:
        """The start after so many passes over the data, or None."""
        held = self.tensors(f"start-{passes}")
        return None if held is None else Start(**held)

    def write_start(self, passes: int, start: Start) -> None:
        """Keep the start after so many passes, in place of the one before."""
        self.write_tensors(f"start-{passes}", asdict(start))
        if self.writes:
            (self.path / f"start-{passes - 1}.safetensors").unlink(missing_ok=True)

    @property
    def history(self) -> dict[str, Any] | None:
        """The course of the ELBO, and that on a fixed batch: `steps`, `seconds` and `elbo`.

        None where it is not there yet.

        Raises:
            ValueError: If it is damaged.
        """
        held: dict[str, Any] | None = read_json(self.path / "history.json")
        return held

    def write_history(self, history: Mapping[str, Any]) -> None:
        """Keep the course of the ELBO."""
        self._write_json("history", history)

    @property
    def seconds(self) -> dict[str, float]:
        """The seconds that each stage has taken so far.

        Raises:
            ValueError: If the file is damaged.
        """
        remedy = "Delete it, and seconds count from there on."
        held = read_json(self.path / "timings.json", remedy=remedy) or {}
        return {**dict.fromkeys(STAGES, 0.0), **held}

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Add to the seconds of a stage."""
        found = self.seconds
        found[stage] += seconds
        self._write_json("timings", found)

    def _write_json(self, name: str, value: object) -> None:
        if self.writes:
            write_text(self.path / f"{name}.json", json.dumps(value, indent=1) + "\n")
