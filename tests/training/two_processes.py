"""One rank of runs on two: `torchrun --nproc-per-node 2 two_processes.py OUT`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.distributed as dist

import pavi

STEPS = 4
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


def run(scheme: str, out: Path) -> None:
    """Train, and let the first rank write the guide."""
    batch, encodings = SCHEMES[scheme]
    data, module = build(encodings)
    trainer = pl.Trainer(
        max_steps=STEPS,
        accelerator="cpu",
        devices=2,
        strategy="ddp",
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
    for scheme in SCHEMES:
        run(scheme, out / f"{scheme}.pt")
    # A process that ends while the other still talks to it may abort.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(Path(sys.argv[1]))
