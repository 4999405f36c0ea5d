"""One rank of a training over simulated data sets: started by torchrun with the folder to write to."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import pavi
from pavi.data import SimulatedBatches
from pavi.models import gaussian_random_effects
from pavi.training.ranks import this_rank

MODEL, SIZES = gaussian_random_effects(dim=1), {"group": (2, 5), "obs": 3}
CHOICES = {"datasets": 4, "steps": 5, "seed": 3, "progress": False, "accelerator": "cpu"}
OPTIMIZATION = pavi.Optimization(schedule="constant")


def main(out: Path) -> None:
    """Train, and write what this rank drew and what it ended with."""
    draw, drawn = SimulatedBatches.__getitem__, dict[int, torch.Tensor]()

    def noted(self: SimulatedBatches, step: int) -> pavi.PlateBatch:
        batch = draw(self, step)
        drawn[step] = batch.values["x"]
        return batch

    SimulatedBatches.__getitem__ = noted
    amortized = pavi.amortize(MODEL, SIZES, devices=2, optimization=OPTIMIZATION, **CHOICES)
    rank, ranks = this_rank()
    assert ranks == 2
    held = {
        "drawn": [drawn[step] for step in range(CHOICES["steps"])],
        "guide": amortized.guide.state_dict(),
    }
    torch.save(held, out / f"{rank}.pt")
    # A process that ends while the other still talks to it may abort.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
