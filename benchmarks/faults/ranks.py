"""One process of two that goes away, and two that are told to."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults.ambush import Ambush, before_it
from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.programs import EVERY, SHARDED, STEPS, TWO, Program
from benchmarks.faults.signals import LATER, signalled
from benchmarks.faults.victim import Victim, started
from pavi.training import GO_ON, latest_checkpoint, sharded_files

REASONABLE = 30.0  # seconds in which the other has to notice


def ranks(rng: random.Random) -> Iterator[Fault]:
    """Either of two killed somewhere in a run, and SIGTERM to one; not sharded, and sharded."""
    written = STEPS // EVERY
    for program, name in ((TWO, "of 2"), (SHARDED, "of 2, sharded")):
        for rank in (0, 1):
            strike = partial(_one_killed, program, rank, rng.randint(1, written - 3))
            yield Fault(f"kill -9 of rank {rank} {name}", strike, program)
        strike = partial(signalled, signal.SIGTERM, rng.randint(1, written - 3), program)
        yield Fault(f"SIGTERM to one {name}", strike, program)
    for rank in (0, 1):
        call = rng.randint(2, written)
        ambush = Ambush(sharded_files, "described", call, before_it, rank=rank)
        name = f"kill -9 of rank {rank} in sharded checkpoint {call}"
        yield Fault(name, partial(_one_killed_at, ambush, rank), SHARDED)


def _one_killed(program: Program, rank: int, checkpoint: int, folder: Path) -> str:
    victim = started(folder, program=program)
    victim.reaches(folder, checkpoint)
    time.sleep(LATER)
    victim.ranks[rank].kill()
    return _ended(victim, rank, folder)


def _one_killed_at(ambush: Ambush, rank: int, folder: Path) -> str:
    victim = started(folder, program=SHARDED, hook=ambush)
    victim.ranks[rank].join(REASONABLE)
    return _ended(victim, rank, folder)


def _ended(victim: Victim, rank: int, folder: Path) -> str:
    """How the other process ended, when one was killed."""
    began = time.monotonic()
    codes = victim.wait(patience=REASONABLE)
    if codes == [0, 0]:
        return "was complete"
    other = codes[1 - rank]
    if codes[rank] != -signal.SIGKILL or other != GO_ON:
        raise NotSurvivedError(
            f"killing rank {rank} ended the run with {codes}: {victim.said()[-300:]}"
        )
    seconds = time.monotonic() - began
    last = latest_checkpoint(folder / "checkpoints")
    return f"the other: exit {other} in {seconds:.2f} s, {last.stem if last else 'step=0'}"
