"""Checkpoints of a run, and reading them back."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from pytorch_lightning.callbacks import ModelCheckpoint

NAME = re.compile(r"step=(\d+)\.ckpt")
# What Lightning reads to go on with a run.
KEYS = ("pytorch-lightning_version", "global_step", "state_dict", "optimizer_states", "loops")
REMEDY = "Delete it, or choose another folder."


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
    """The checkpoint of the largest step in a folder, or None.

    Raises:
        ValueError: If the folder holds a checkpoint whose name does not say its step.
    """
    found: dict[int, Path] = {}
    for path in sorted(folder.glob("*.ckpt")):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise ValueError(
                f"checkpoint {path} is not named step=<number>.ckpt, so that it is not known "
                f"where to go on; in {folder} there are {_beside(path)}. {REMEDY}"
            )
        found[int(name[1])] = path
    return found[max(found)] if found else None


def check_checkpoint(path: Path) -> None:
    """Read a checkpoint before any work is done.

    Raises:
        ValueError: If it does not exist, cannot be read or is none of a run, with those that exist
            beside it.
    """
    folder, beside = path.parent, _beside(path)
    if not path.is_file():
        raise ValueError(f"checkpoint {path} does not exist; in {folder} there are {beside}.")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of bytes that are no checkpoint anything may come
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(
            f"checkpoint {path} ({path.stat().st_size:,} bytes) cannot be read; it is truncated "
            f"or not a checkpoint ({first}). In {folder} there are {beside}. {REMEDY}"
        ) from error
    absent = [key for key in KEYS if not isinstance(held, dict) or key not in held]
    if absent:
        raise ValueError(
            f"checkpoint {path} is not one of a run, as Lightning writes it: it lacks {absent}. "
            f"In {folder} there are {beside}. {REMEDY}"
        )


def _beside(path: Path) -> list[str]:
    return sorted(found.name for found in path.parent.glob("*.ckpt"))
