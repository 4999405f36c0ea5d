"""One process of two that goes away, and two that are told to."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.signals import signalled, wait_for_checkpoint
from benchmarks.faults.victim import started
from pavi.training import GO_ON, latest_checkpoint

REASONABLE = 30.0  # seconds in which the other has to notice


def ranks(rng: random.Random) -> Iterator[Fault]:
    """Either of two killed, at random times, and SIGTERM to one."""
    for rank in (0, 1):
        share = rng.uniform(0.1, 0.4)
        strike = partial(_one_killed, rank, share)
        yield Fault(f"kill -9 of rank {rank} of 2", strike, ranks=2)
    strike = partial(signalled, signal.SIGTERM, rng.uniform(0.1, 0.4), 2)
    yield Fault("SIGTERM to one of 2", strike, ranks=2)


def _one_killed(rank: int, share: float, folder: Path, calm_seconds: float) -> str:
    victim = started(folder, ranks=2)
    wait_for_checkpoint(victim, folder)
    time.sleep(share * calm_seconds)
    began = time.monotonic()
    victim.ranks[rank].kill()
    codes = victim.wait(patience=REASONABLE)
    if codes == [0, 0]:
        return "was complete"
    other = codes[1 - rank]
    if codes[rank] != -signal.SIGKILL or other != GO_ON:
        raise NotSurvivedError(f"killing rank {rank} ended the run with {codes}")
    seconds = time.monotonic() - began
    last = latest_checkpoint(folder / "checkpoints")
    return f"the other: exit {other} in {seconds:.2f} s, {last.stem if last else 'step=0'}"
