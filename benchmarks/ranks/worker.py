"""One rank of a measured run: `torchrun ... -m benchmarks.ranks.worker --steps 300`.

The first rank prints a line of JSON; with `--turns` one for every turn, until it is ended.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from itertools import pairwise
from statistics import median
from typing import Any, final

import pytorch_lightning as pl
import torch.distributed as dist

from benchmarks.ranks.traffic import Traffic
from benchmarks.ranks.turns import TurnClock, Turns
from benchmarks.ranks.workload import Workload
from experiments.peak_memory import peak_rss_gb
from pavi.training import train

BLOCK = 25  # steps between two entries


@final
class Clock(pl.Callback):
    """Times steps."""

    def __init__(self) -> None:
        self._ends: list[float] = []
        self.state_bytes = 0

    def on_train_batch_end(self, *_: Any) -> None:
        """Look at the clock."""
        self._ends.append(time.perf_counter())

    def on_train_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Look at what the optimiser remembers."""
        states = trainer.optimizers[0].state.values()
        self.state_bytes = sum(value.nbytes for state in states for value in state.values())

    def steps(self) -> list[float]:
        """Seconds of every step after the first block, which is slower."""
        return [b - a for a, b in pairwise(self._ends[BLOCK:])]

    def blocks(self) -> list[float]:
        """Mean seconds of a step, block by block."""
        return [(b - a) / BLOCK for a, b in pairwise(self._ends[BLOCK - 1 :: BLOCK])]


def main() -> None:
    """Train, and report."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--subjects", type=int, default=Workload.subjects)
    parser.add_argument("--vertices", type=int, default=Workload.vertices)
    parser.add_argument("--drawn", type=int, nargs=2, default=Workload.drawn)
    parser.add_argument("--free", action="store_true", help="PAVI-F")
    parser.add_argument("--count", action="store_true", help="count bytes, which takes time")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument(
        "--turns", nargs=3, type=float, metavar=("START", "SETTINGS", "MINE"), help="step in turns"
    )
    given = parser.parse_args()
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    workload = Workload(
        given.subjects, given.vertices, free=given.free, drawn=(given.drawn[0], given.drawn[1])
    )
    module, stream = workload.build(rank=rank, ranks=ranks)
    clock, traffic = Clock(), Traffic()
    callbacks: list[pl.Callback] = [clock, *([traffic] if given.count else [])]
    if given.turns:
        start, settings, mine = given.turns
        turns = Turns(start, int(settings), int(mine))
        callbacks, given.steps = [TurnClock(turns, quiet=rank > 0)], sys.maxsize
    with traffic.counted():
        train(
            module,
            stream,
            steps=given.steps,
            callbacks=callbacks,
            devices=ranks,
            accelerator="cpu",
        )
    if rank == 0:
        found = {
            "ranks": ranks,
            "latents": workload.latents,
            "step_ms": 1e3 * median(clock.blocks()) if clock.blocks() else None,
            "steps_ms": [round(1e3 * seconds, 3) for seconds in clock.steps()],
            "bytes_per_step": traffic.bytes / max(1, traffic.steps),
            "calls_per_step": traffic.calls / max(1, traffic.steps),
            "state_bytes": sum(p.nbytes for p in module.guide.parameters()) + clock.state_bytes,
            "peak_rss_gb": peak_rss_gb(),
        }
        print(json.dumps(found), flush=True)
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
