"""A disk of its own that is filled up while a run writes to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

import experiments.csv_log
from benchmarks.faults.ambush import Ambush
from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.programs import ALONE, SHARDED, Program
from benchmarks.faults.record import unfinished
from benchmarks.faults.victim import started
from pavi.posterior import storage
from pavi.training import checkpoint_files, sharded_files
from pavi.training.checkpoint_files import damage
from pavi.training.checkpoints import found_checkpoints

ROOM = "1m"
BALLAST = "ballast"
BLOCK = 4096


def disks() -> Iterator[Fault]:
    """A disk that is full at several moments."""
    log = experiments.csv_log
    for name, program, place, function, call, free in (
        # Seen before it is begun, and noticed while it is written.
        ("before a checkpoint", ALONE, checkpoint_files, "whole_file", 7, 3 * BLOCK),
        ("in a checkpoint", ALONE, torch, "save", 5, 3 * BLOCK),
        ("in a sharded checkpoint", SHARDED, sharded_files, "save", 4, BLOCK),
        ("logging", ALONE, log, "append_text", 31, 0),
        ("saving the posterior", ALONE, storage, "save_file", 1, 0),
    ):
        strike = partial(_filled, program, place, function, call, free)
        yield Fault(f"disk full {name}", strike, program, room=ROOM)


def _filled(
    program: Program, place: Any, function: str, call: int, free: int, folder: Path
) -> str:
    """Fill the disk in a call of a function, but for so many bytes; empty it when all is over."""
    ballast = folder.parent / BALLAST
    ambush = Ambush(place, function, call, partial(_fill, ballast, free), rank=program.ranks - 1)
    victim = started(folder, program=program, hook=ambush)
    codes = victim.wait()
    if codes != [1] * program.ranks or "error: the disk is full: " not in victim.said():
        raise NotSurvivedError(f"a full disk ended the run with {codes}: {victim.said()[-300:]}")
    if left := unfinished(folder):
        raise NotSurvivedError(f"{left} were left on a full disk")
    kept = found_checkpoints(folder / "checkpoints")
    if not kept or any(damage(path) for path in kept.values()):
        raise NotSurvivedError(f"of the checkpoints {kept} some are damaged")
    ballast.unlink()
    return f"exit 1, {max(kept.items())[1].stem} is whole"


def _fill(
    ballast: Path, free: int, function: Callable[..., Any], *given: Any, **named: Any
) -> None:
    with ballast.open("wb", buffering=0) as stream:
        left = shutil.disk_usage(ballast.parent).free - free
        stream.write(bytes(left // BLOCK * BLOCK))
