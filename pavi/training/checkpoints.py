"""Checkpoints of a run, and reading them back."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
from pytorch_lightning.callbacks import ModelCheckpoint

PATTERN = "step=*.ckpt"


def checkpointing(folder: Path, *, every: int) -> ModelCheckpoint:
    """Keep the latest checkpoint, written every `every` steps.

    A file appears under its name only when it is complete, and the one before is removed after
    that: a run that is killed leaves a readable checkpoint.
    """
    return ModelCheckpoint(
        dirpath=folder,
        filename="{step}",
        every_n_train_steps=every,
        save_top_k=1,
        save_on_train_epoch_end=False,
        enable_version_counter=False,
    )


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the largest step in a folder, or None."""
    found = sorted(folder.glob(PATTERN), key=lambda path: int(path.stem.split("=")[1]))
    return found[-1] if found else None


def check_checkpoint(path: Path) -> None:
    """Read a checkpoint before any work is done.

    Raises:
        ValueError: If it does not exist or cannot be read, with those that exist beside it.
    """
    folder = path.parent
    beside = sorted(p.name for p in folder.glob("*.ckpt")) if folder.is_dir() else []
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist; in {folder} there are {beside}.")
    try:
        torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"checkpoint {path} ({path.stat().st_size:,} bytes) cannot be read; it is truncated "
            f"or not a checkpoint ({first}). In {folder} there are {beside}."
        ) from error
