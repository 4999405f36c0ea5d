"""Signals that leave a run the time to write a checkpoint."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.victim import Victim, started
from pavi.training import GO_ON, latest_checkpoint

GRACE = 10.0  # seconds, as of `docker stop`; Slurm and Kubernetes give 30
CODES = {signal.SIGTERM: GO_ON, signal.SIGUSR1: GO_ON, signal.SIGINT: 130}


def wait_for_checkpoint(victim: Victim, folder: Path) -> None:
    """Until there is one, or the run has ended."""
    while victim.ranks[0].is_alive() and not any(folder.glob("checkpoints/*.ckpt")):
        time.sleep(0.001)


def signalled(
    number: signal.Signals, share: float, ranks: int, folder: Path, calm_seconds: float
) -> str:
    """Send a signal to the first process, a share of a run after there is a checkpoint."""
    victim = started(folder, ranks=ranks)
    wait_for_checkpoint(victim, folder)
    time.sleep(share * calm_seconds)
    pid = victim.ranks[0].pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, number)
    codes = victim.wait(patience=GRACE)
    took = time.monotonic() - began
    # The exit code of the others says nothing, see `FitStopped`.
    if codes != [CODES[number]] + [0] * (ranks - 1):
        raise NotSurvivedError(f"{number.name} ended the run with {codes}")
    last = latest_checkpoint(folder / "checkpoints")
    if last is None or f"The last checkpoint is {last}" not in victim.said():
        raise NotSurvivedError(f"{number.name}: the run does not say how to go on")
    return f"exit {codes[0]} in {took:.2f} s, {last.stem}"


def signals(rng: random.Random) -> Iterator[Fault]:
    """One of each, at random times."""
    for number in CODES:
        strike = partial(signalled, number, rng.uniform(0.1, 0.5), 1)
        yield Fault(f"{number.name} with grace", strike)
