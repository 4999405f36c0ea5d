"""Checkpoints that are damaged after they were written."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults.ambush import Ambush
from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.kills import die
from benchmarks.faults.victim import STEPS, started
from pavi.training import RowAdam, latest_checkpoint
from pavi.training.checkpoint_files import damage

Harm = Callable[[bytes], bytes]


def damages(rng: random.Random) -> Iterator[Fault]:
    """A checkpoint that lost its end, and one that lost a bit."""
    yield Fault("checkpoint truncated", partial(_damaged, rng.randint(60, STEPS), _cut))
    yield Fault("checkpoint with a flipped bit", partial(_damaged, rng.randint(60, STEPS), _flip))


def _damaged(step: int, harm: Harm, folder: Path, calm_seconds: float) -> str:
    started(folder, hook=Ambush(RowAdam, "_update_rows", step, lambda *_: die())).wait()
    latest = latest_checkpoint(folder / "checkpoints")
    if latest is None:
        raise NotSurvivedError(f"there is no checkpoint after step {step}")
    latest.write_bytes(harm(latest.read_bytes()))
    if damage(latest) is None:
        raise NotSurvivedError(f"{latest.name} counts as sound")
    return f"{latest.stem} is damaged"


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flip(content: bytes) -> bytes:
    """Of a tensor, somewhere in the middle of it all."""
    place = content.index(b"/data/") + 200
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
