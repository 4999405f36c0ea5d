"""Checkpoints of a sharded run, as Lightning calls for them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, final

from pytorch_lightning.plugins.io import CheckpointIO

from pavi.training.sharded_files import read_sharded, write_sharded
from pavi.training.sharded_state import ShardedState


@final
class ShardedCheckpoints(CheckpointIO):
    """Writes the rows of every rank and reads those of this one, see `sharded_files`.

    Used with `RanksDDP(sharded=True)`, which calls it on every rank, or on one process:
    `pl.Trainer(plugins=[ShardedCheckpoints()], strategy=RanksDDP(sharded=True), ...)`.

    Attributes:
        state: What this rank owns; `VariationalInference` says so before a run.
    """

    def __init__(self) -> None:
        self.state: ShardedState | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Write; every rank must call this."""
        assert self.state is not None
        write_sharded(Path(path), checkpoint, self.state)

    def load_checkpoint(
        self, path: Path | str, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read; every rank must call this.

        Raises:
            ValueError: If it was written by a run that is not sharded, or is damaged.
        """
        assert self.state is not None
        if not Path(path).is_dir():
            raise ValueError(
                f"checkpoint {path} is one file, of a run that was not sharded; go on without "
                "shard=, or choose another folder."
            )
        return read_sharded(Path(path), self.state)

    def remove_checkpoint(self, path: Path | str) -> None:
        """Remove a folder."""
        shutil.rmtree(path, ignore_errors=True)
