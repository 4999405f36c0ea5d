"""The checkpoints of a run: when they are written, and from which one it goes on."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
import torch

from pavi.files import check_space, check_writable, remove_unfinished
from pavi.training.checkpoint_files import common_file, damage
from pavi.training.stopping import StopSignals

NAME = re.compile(r"step=(\d+)\.ckpt")
RUN = "pavi_run"  # where a checkpoint says what run it is of
KEPT = 2  # the latest, and the one before in case that one is damaged
ADAM = 3  # a parameter and two moments
REMEDY = "Delete it, or choose another folder."


@final
class Checkpoints(pl.callbacks.Checkpoint):
    """Writes a checkpoint every so many steps, and when a run is stopped between two.

    A file appears under its name only when it is complete, and older ones are removed after that,
    all but one: a run that is killed leaves one to go on from, and one that is damaged another.

    Args:
        folder: Where they lie.
        every: Steps between two.
        stop: What ends the run on a signal, if anything does.
        run: What tells this run from others, as plain values.
    """

    def __init__(
        self,
        folder: Path,
        *,
        every: int,
        stop: StopSignals | None = None,
        run: Mapping[str, Any] | None = None,
    ) -> None:
        self._folder, self._every, self._stop, self._run = folder, every, stop, dict(run or {})
        self._step = 0

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Make the folder, and remove what a killed run left unfinished."""
        if trainer.is_global_zero:
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_unfinished(self._folder)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """See that there is room for the first, before any work is done."""
        self._step = trainer.global_step
        if trainer.is_global_zero and trainer.global_step < trainer.max_steps:
            needed = ADAM * sum(p.nbytes for p in pl_module.parameters() if p.requires_grad)
            first = (trainer.global_step // self._every + 1) * self._every
            check_space(self._folder / f"step={first}.ckpt", needed)

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Write one, if it is time."""
        step, stopping = trainer.global_step, self._stop is not None and self._stop.stopping
        if step == self._step or not (step % self._every == 0 or stopping):
            return
        self._step = step
        trainer.save_checkpoint(self._folder / f"step={step}.ckpt")
        for old in list(found_checkpoints(self._folder).values())[:-KEPT]:
            trainer.strategy.remove_checkpoint(old)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Say what run it is of."""
        checkpoint[RUN] = self._run


def checkpoint_to_resume(folder: Path, *, run: Mapping[str, Any] | None = None) -> Path | None:
    """The checkpoint that a run goes on from, seen to be sound; None if it starts.

    Where the latest is damaged it is the one before, which leads to the same end; this is said.

    Args:
        folder: Of the checkpoints.
        run: What tells this run from others; nothing is compared if None.

    Raises:
        ValueError: If the folder cannot be written to, a name does not say its step, no checkpoint
            can be read, or they are of another run.
    """
    check_writable(folder)
    found = list(found_checkpoints(folder).values())
    for path in reversed(found):
        why = damage(path)
        if why is None:
            _check_run(path, run)
            return path
        if path == found[0]:
            raise ValueError(f"checkpoint {why}. {_beside(path)} {REMEDY}")
        print(f"warning: checkpoint {why}. Going on from the one before.", file=sys.stderr)
    return None


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the largest step in a folder, or None.

    Raises:
        ValueError: If the folder holds a checkpoint whose name does not say its step.
    """
    return next(reversed(found_checkpoints(folder).values()), None)


def found_checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints in a folder by step, in ascending order.

    Raises:
        ValueError: If the name of one does not say its step.
    """
    found: dict[int, Path] = {}
    for path in folder.glob("*.ckpt"):
        name = NAME.fullmatch(path.name)
        if name is None:
            raise ValueError(
                f"checkpoint {path} is not named step=<number>.ckpt, so that it is not known "
                f"where to go on. {_beside(path)} {REMEDY}"
            )
        found[int(name[1])] = path
    return dict(sorted(found.items()))


def _check_run(path: Path, run: Mapping[str, Any] | None) -> None:
    """See that a checkpoint is of this run; one of an earlier version does not say."""
    file = common_file(path)
    held = torch.load(file, map_location="cpu", weights_only=True, mmap=True).get(RUN)
    if not held or run is None:
        return
    there, here = dict(_flat(held)), dict(_flat(run))
    changes = [
        f"{key} is {there.get(key)} there and {here.get(key)} here"
        for key in dict.fromkeys([*there, *here])
        if there.get(key) != here.get(key)
    ]
    if changes:
        more = f" and {len(changes) - 3} more differences" if len(changes) > 3 else ""
        raise ValueError(
            f"checkpoint {path} is of another run: {'; '.join(changes[:3])}{more}. {REMEDY}"
        )


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Values by dotted key."""
    for key, value in nested.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value


def _beside(path: Path) -> str:
    names = sorted(found.name for found in path.parent.glob("*.ckpt"))
    return f"In {path.parent} there are {names}."
