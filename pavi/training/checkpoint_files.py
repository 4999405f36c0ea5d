"""Checkpoints as files that are written whole and checked before they are read."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import torch
from pytorch_lightning.plugins.io import CheckpointIO
from torch import Tensor

from pavi.files import whole_file
from pavi.training.manifest import COMMON, incomplete

# What Lightning reads to go on with a run.
KEYS = ("pytorch-lightning_version", "global_step", "state_dict", "optimizer_states", "loops")


@final
class WholeCheckpoints(CheckpointIO):
    """Writes a checkpoint straight to the disk, all of it or nothing.

    Lightning's own puts it together in memory first, which takes twice what a run may have.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Path | str, storage_options: Any = None
    ) -> None:
        """Write; what is needed of the disk is known before.

        Raises:
            DiskFullError: If there is no room for it.
        """
        needed = sum(tensor_bytes(checkpoint).values())
        with whole_file(Path(path), binary=True, needed=needed) as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(
        self, path: Path | str, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read, without holding the file in memory beside what is made of it.

        Moments of rows that are not touched stay on the disk, even when the file is removed.

        Raises:
            ValueError: If it is the folder of a sharded run.
        """
        if Path(path).is_dir():
            raise ValueError(
                f"checkpoint {path} is a folder, of a sharded run; go on with shard=, or choose "
                "another folder."
            )
        where = map_location or (lambda storage, location: storage)
        return torch.load(path, map_location=where, weights_only=True, mmap=True)

    def remove_checkpoint(self, path: Path | str) -> None:
        """Remove a file."""
        Path(path).unlink(missing_ok=True)


def tensor_bytes(value: Any) -> dict[int, int]:
    """The bytes of all tensors in nested containers, each storage once, by its address."""
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        return {storage.data_ptr(): storage.nbytes()}
    found: dict[int, int] = {}
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(value, Mapping | list | tuple):
        for part in parts:
            found |= tensor_bytes(part)
    return found


def common_file(path: Path) -> Path:
    """The file of a checkpoint that holds what is the same on every rank."""
    return path / COMMON if path.is_dir() else path


def damage(path: Path) -> str | None:
    """Why no run can go on from a checkpoint, in words; None for a sound one."""
    if path.is_dir():
        return None if (why := incomplete(path)) is None else f"{path} is damaged: {why}"
    size = f"{path} ({path.stat().st_size:,} bytes)"
    try:
        with zipfile.ZipFile(path) as archive:
            if broken := archive.testzip():
                raise ValueError(f"the checksum of its part {broken} is wrong")
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # of bytes that are no checkpoint anything may come
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        return f"{size} cannot be read; it is damaged or not a checkpoint ({first})"
    absent = [key for key in KEYS if not isinstance(held, dict) or key not in held]
    if absent:
        return f"{size} is not one of a run, as Lightning writes it: it lacks {absent}"
    return None
