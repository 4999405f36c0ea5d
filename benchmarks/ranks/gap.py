"""The gap to the exact evidence of a sharded fit of Gaussian random effects, on any ranks."""

from __future__ import annotations

import argparse
import json
import os

import torch.distributed as dist

import pavi
from benchmarks.gre import OPTIMIZATION
from experiments.gre_gap import gre_gap
from pavi.models import gaussian_random_effects, gre_posterior

GROUPS, OBS, SCALES = 300, 10, (0.5, 0.5, 0.1)


def main() -> None:
    """Fit, and print the gap."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=20, help="groups a step, of all ranks")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    model = gaussian_random_effects(scales=SCALES)
    simulation = model.simulate({"group": GROUPS, "obs": OBS}, seed=given.seed)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    posterior = pavi.fit(
        model,
        data,
        encodings=pavi.DeepSetEncodings(),
        optimization=OPTIMIZATION["pavi_e"],
        batch={"group": given.batch // ranks},
        steps=given.steps,
        seed=given.seed,
        progress=False,
        devices=ranks,
        shard="group",
        accelerator="cpu",
    )
    if rank == 0:
        exact = gre_posterior(data.values["x"], scales=SCALES)
        gap = gre_gap(posterior.guide, data, exact, draws=1024)
        print(json.dumps({"gap": gap, "latents": model.num_latents(data.cardinalities)}))
    if dist.is_initialized():
        dist.barrier()
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
