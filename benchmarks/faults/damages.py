"""Checkpoints that are damaged after they were written."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults.ambush import Ambush, after_it
from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.programs import ALONE, SHARDED, STEPS, Program
from benchmarks.faults.victim import started
from pavi.training import RowAdam, latest_checkpoint
from pavi.training.checkpoint_files import damage
from pavi.training.manifest import ROWS

Harm = Callable[[bytes], bytes]


def damages(rng: random.Random) -> Iterator[Fault]:
    """A checkpoint that lost its end, one that lost a bit, and a shard that lost its end."""
    for name, program, harm in (
        ("checkpoint truncated", ALONE, _cut),
        ("checkpoint with a flipped bit", ALONE, _flip),
        ("shard truncated", SHARDED, _cut),
    ):
        step = rng.randint(60, STEPS)
        yield Fault(name, partial(_damaged, program, step, harm), program)


def _damaged(program: Program, step: int, harm: Harm, folder: Path) -> str:
    ambush = Ambush(RowAdam, "_update_rows", step, after_it)
    started(folder, program=program, hook=ambush).wait()
    latest = latest_checkpoint(folder / "checkpoints")
    if latest is None:
        raise NotSurvivedError(f"there is no checkpoint after step {step}")
    file = max((latest / ROWS).glob("__1_*")) if latest.is_dir() else latest
    file.write_bytes(harm(file.read_bytes()))
    if damage(latest) is None:
        raise NotSurvivedError(f"{latest.name} counts as sound")
    return f"{file.relative_to(latest.parent)} is damaged"


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    """Of a tensor, somewhere in the middle of it all."""
    place = content.index(b"/data/") + 200
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
