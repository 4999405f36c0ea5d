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
from benchmarks.faults.programs import ALONE, Program
from benchmarks.faults.victim import started
from pavi.training import GO_ON, latest_checkpoint

GRACE = 10.0  # seconds, as of `docker stop`; Slurm and Kubernetes give 30
LATER = 0.03  # seconds, in which some steps pass
CODES = {signal.SIGTERM: GO_ON, signal.SIGUSR1: GO_ON, signal.SIGINT: 130}


def signalled(number: signal.Signals, checkpoint: int, program: Program, folder: Path) -> str:
    """Send a signal to the first process, some steps after it has written so many checkpoints."""
    victim = started(folder, program=program)
    victim.reaches(folder, checkpoint)
    time.sleep(LATER)
    pid = victim.ranks[0].pid
    assert pid is not None
    began = time.monotonic()
    os.kill(pid, number)
    codes = victim.wait(patience=GRACE)
    took = time.monotonic() - began
    # The exit code of the others says nothing, see `FitStopped`.
    if codes != [CODES[number]] + [0] * (program.ranks - 1):
        raise NotSurvivedError(f"{number.name} ended the run with {codes}")
    last = latest_checkpoint(folder / "checkpoints")
    if last is None or f"The last checkpoint is {last}" not in victim.said():
        raise NotSurvivedError(f"{number.name}: the run does not say how to go on")
    return f"exit {codes[0]} in {took:.2f} s, {last.stem}"


def signals(rng: random.Random) -> Iterator[Fault]:
    """One of each, somewhere in a run."""
    for number in CODES:
        strike = partial(signalled, number, rng.randint(1, 7), ALONE)
        yield Fault(f"{number.name} with grace", strike)
