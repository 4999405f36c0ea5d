"""One rank of sharded runs: `torchrun --nproc-per-node RANKS sharded_processes.py OUT`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

import pavi
from pavi.data import PlateData, Shard
from pavi.posterior.encode import encode
from pavi.training import RanksDDP, assembled

STEPS = 4
NEST = {"school": [0, 4, 1, 3, 2, 0, 1, 4, 3], "pupil": [*range(9), *range(9), 3, 3]}
CROSSING = {
    "rating": {
        "student": [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 2, 0],
        "lecturer": [0, 0, 1, 1, 2, 2, 1, 0, 2, 1, 2, 1],
    }
}
# A design, the plate that is split, the rows that a rank draws, and where encodings come from.
SCHEMES = {
    "nest": ("ragged_nest", NEST, "lea", {"lea": 1, "school": 2}, pavi.FreeEncodings()),
    "pupils": ("ragged_nest", NEST, "lea", {"pupil": 2}, pavi.FreeEncodings()),
    "whole nest": ("ragged_nest", NEST, "lea", {}, pavi.FreeEncodings()),
    "crossing": (
        "dense_crossing",
        {},
        "subject",
        {"subject": 1, "vertex": 2},
        pavi.FreeEncodings(),
    ),
    "ratings": ("sparse_crossing", CROSSING, "student", {"rating": 2}, pavi.FreeEncodings()),
    "deep sets": ("dense_crossing", {}, "subject", {"subject": 1}, pavi.DeepSetEncodings()),
    "hybrid": ("ragged_nest", NEST, "lea", {"lea": 1}, pavi.HybridEncodings(start=0.4)),
    "accumulated": (
        "dense_crossing",
        {},
        "subject",
        {"subject": 1, "vertex": 2},
        pavi.FreeEncodings(),
    ),
}
# How many batches a rank adds up in a step; one by default.
BATCHES = {"accumulated": 2}


def data_of(scheme: str) -> PlateData:
    """Data with five rows of the plate that is split."""
    from core import designs

    name, links, *_ = SCHEMES[scheme]
    model = getattr(designs, name)()
    sizes = {"dense_crossing": (5, 2, 3, 2), "ragged_nest": (20,), "sparse_crossing": (12,)}
    torch.default_generator.manual_seed(1)
    arrays = {site: torch.randn(sizes[name]) for site in (*model.covariates, *model.observed)}
    return PlateData.from_arrays(arrays, model, links=links, dtype=torch.float64)


def guide_of(scheme: str, cardinalities: Any) -> pavi.PlateAmortizedGuide:
    """A guide whose weights do not depend on the number of rows."""
    model, encodings = data_of(scheme).model, SCHEMES[scheme][-1]
    torch.default_generator.manual_seed(0)
    return pavi.PlateAmortizedGuide(model, cardinalities, encodings=encodings).double()


class Gradients(pl.Callback):
    """Keeps the gradients of every step, as they are before clipping."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.steps.append(
            {n: p.grad.to_dense().clone() for n, p in pl_module.guide.named_parameters()}
        )


def run(scheme: str, ranks: int, out: Path) -> None:
    """Train, and write what this rank has in the end."""
    _, _, plate, batch, _ = SCHEMES[scheme]
    data, gradients = data_of(scheme), Gradients()
    trainer = pl.Trainer(
        max_steps=STEPS,
        accumulate_grad_batches=BATCHES.get(scheme, 1),
        accelerator="cpu",
        devices=ranks,
        strategy=RanksDDP(sharded=True),
        logger=False,
        callbacks=[gradients],
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    rank = trainer.global_rank
    shard = Shard.of(data, plate, rank=rank, ranks=trainer.world_size)
    module = pavi.VariationalInference(
        guide_of(scheme, shard.data.cardinalities),
        optimization=pavi.Optimization(clip_norm=10.0, schedule="constant"),
        shard=shard,
    )
    trainer.fit(module, pavi.PlateDataModule(data, batch=batch, seed=5, shard=shard))
    found = {
        "state": module.guide.state_dict(),
        "gradients": gradients.steps,
        "assembled": assembled(module.guide, shard).state_dict(),
        "encodings": encode(module.guide.encoder, shard.data, shard=shard, budget=2**10),
    }
    torch.save(found, out / f"{scheme}.{rank}.pt")


def main(out: Path) -> None:
    """All schemes, one after the other."""
    import os

    for scheme in SCHEMES:
        run(scheme, int(os.environ["WORLD_SIZE"]), out)
    # A process that ends while the other still talks to it may abort.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(Path(sys.argv[1]))
