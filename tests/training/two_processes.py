"""One rank of runs on two: `torchrun --nproc-per-node 2 two_processes.py OUT`."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist

import pavi
from pavi.training import RanksDDP
from pavi.training.exchange import left_in

STEPS = 4
# That of Lightning, and ours, which does the same with fewer calls.
STRATEGIES = ("ddp", "ranks")
# The rows of a step, and where encodings come from.
SCHEMES = {
    "some schools of some authorities": ({"lea": 2, "school": 2}, pavi.FreeEncodings()),
    "some pupils": ({"pupil": 6}, pavi.FreeEncodings()),
    "everything": ({}, pavi.FreeEncodings()),
    "computed encodings": ({"lea": 2}, pavi.DeepSetEncodings()),
    "hybrid encodings": ({"lea": 2, "school": 2}, pavi.HybridEncodings(start=0.4)),
}


def build(encodings: pavi.encodings.Encodings) -> tuple[pavi.PlateData, pavi.VariationalInference]:
    """A ragged nest, and a module with the same weights on every rank."""
    from core.designs import ragged_nest

    model = ragged_nest()
    links = {"school": [0, 1, 2, 0, 1, 2, 0], "pupil": [*range(7), *range(7), 3, 3]}
    torch.default_generator.manual_seed(0)
    arrays = {name: torch.randn(16) for name in (*model.covariates, *model.observed)}
    data = pavi.PlateData.from_arrays(arrays, model, links=links, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities, encodings=encodings).double()
    optimization = pavi.Optimization(clip_norm=100.0, schedule="constant")
    return data, pavi.VariationalInference(guide, optimization=optimization)


def run(scheme: str, strategy: str, out: Path) -> None:
    """Train, and let the first rank write the guide."""
    batch, encodings = SCHEMES[scheme]
    data, module = build(encodings)
    if dist.is_initialized() and dist.get_rank() > 0:
        with torch.no_grad():  # the run starts with the weights of the first
            for weight in left_in(module):
                weight += 1
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        devices=2,
        strategy=RanksDDP() if strategy == "ranks" else strategy,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, pavi.PlateDataModule(data, batch=batch, seed=5))
    if trainer.is_global_zero:
        torch.save(module.guide.state_dict(), out)


def main(out: Path) -> None:
    """All schemes, one after the other."""
    for strategy, scheme in product(STRATEGIES, SCHEMES):
        run(scheme, strategy, out / f"{strategy} {scheme}.pt")
    # A process that ends while the other still talks to it may abort.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(Path(sys.argv[1]))
