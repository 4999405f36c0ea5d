"""SIGKILL at random times, and at chosen instants by a process that ends itself there."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from safetensors import torch as safetensors

import experiments.csv_log
import experiments.run
from benchmarks.faults.ambush import Ambush, after_it, before_it, die
from benchmarks.faults.fault import Fault, NotSurvivedError
from benchmarks.faults.programs import ALONE, EVERY, LOG_EVERY, STEPS, Program
from benchmarks.faults.victim import started
from experiments.run_folder import RunFolder
from pavi.posterior import storage
from pavi.training import RowAdam, WholeCheckpoints


def kills(rng: random.Random, number: int) -> Iterator[Fault]:
    """So many, half of them by the clock and half at instants that are drawn."""
    written = STEPS // EVERY
    for index in range(number - number // 2):
        # One in every part of the run, so that its start and its end are among them.
        checkpoint, seconds = index % written, rng.uniform(0, 0.05 if index % written else 0.5)
        name = f"kill -9 {seconds:.3f} s after checkpoint {checkpoint}"
        yield Fault(name, partial(killed_after, ALONE, checkpoint, seconds))
    for index in range(number // 2):
        instants = _instants(rng)
        name, ambush = instants[index % len(instants)]
        yield Fault(f"kill -9 {name}", partial(killed_at, ALONE, ambush))


def _instants(rng: random.Random) -> list[tuple[str, Ambush]]:
    checkpoint = partial(rng.randint, 1, STEPS // EVERY)
    one, two, three = checkpoint(), checkpoint(), checkpoint()
    removed, row = rng.randint(1, STEPS // EVERY - 2), rng.randint(1, STEPS // LOG_EVERY - 1)
    step, late = rng.randint(1, STEPS), STEPS - rng.randint(0, 3)
    log = experiments.csv_log
    return [
        (f"in checkpoint {one}", Ambush(torch, "save", one, _in_checkpoint)),
        ("saving the posterior", Ambush(storage, "save_file", 1, _in_file)),
        (
            f"after checkpoint {removed}",
            Ambush(WholeCheckpoints, "remove_checkpoint", removed, before_it),
        ),
        (f"in row {row} of the log", Ambush(log, "append_text", row, _in_row)),
        ("at start-up", Ambush(experiments.run, "build", 1, before_it)),
        (f"in step {step}", Ambush(RowAdam, "_update_rows", step, after_it)),
        (f"in step {late}", Ambush(RowAdam, "_update_rows", late, after_it)),
        ("before the metrics", Ambush(RunFolder, "write_metrics", 1, before_it)),
        (f"in checkpoint {two}", Ambush(torch, "save", two, _in_checkpoint)),
        (f"at the end of checkpoint {three}", Ambush(torch, "save", three, after_it)),
    ]


def killed_after(program: Program, checkpoint: int, seconds: float, folder: Path) -> str:
    """Kill a run some time after it has written so many checkpoints."""
    victim = started(folder, program=program)
    victim.reaches(folder, checkpoint)
    time.sleep(seconds)
    victim.ranks[0].kill()
    return _ended(victim.wait())


def killed_at(program: Program, ambush: Ambush, folder: Path) -> str:
    """Let a run kill itself at a chosen instant."""
    return _ended(started(folder, program=program, hook=ambush).wait())


def _ended(codes: list[int | None]) -> str:
    if codes == [0]:
        return "was complete"
    if codes != [-signal.SIGKILL]:
        raise NotSurvivedError(f"the run ended with {codes} before it was killed")
    return "killed"


def _in_checkpoint(save: Callable[..., Any], held: Any, stream: Any) -> None:
    save(held, _DeadlyStream(stream, 20_000))


def _in_file(save: Callable[..., Any], tensors: Any, path: Path) -> None:
    path.write_bytes(safetensors.save(tensors)[:100])
    die()


def _in_row(append: Callable[..., Any], file: Path, text: str) -> None:
    append(file, text[: len(text) // 2])
    die()


@final
class _DeadlyStream:
    """Takes so many bytes.

    Args:
        stream: Where to write them.
        size: How many.
    """

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._left = stream, size

    def write(self, content: Any) -> int:
        """Write, to the last byte."""
        part = memoryview(content).cast("B")[: self._left]
        self._stream.write(part)
        self._left -= len(part)
        if not self._left:
            self._stream.flush()
            die()
        return len(part)

    def flush(self) -> None:
        """Nothing is held back."""
        self._stream.flush()
