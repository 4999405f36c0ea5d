"""Encodings of groups from some of their rows against those from all, on Chem97.

python -m benchmarks.subsets

An authority's encoding pools its schools. In a step that draws some schools of it, every school
stands for several (Horvitz-Thompson), so that sums estimate those over all. `rms` is the distance
to the encoding from all schools, over its standard deviation between authorities; `unweighted`
is the same without the weights; `elbo` that of a guide trained on such steps, evaluated with
encodings from all data.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

import pavi
from benchmarks.report import report
from experiments.problems import chem97
from pavi.data import PlateBatches
from pavi.encodings import Encoder

DRAWS = 20


@torch.no_grad()
def distance(encoder: Encoder, data: pavi.PlateData, schools: int, *, weighted: bool) -> float:
    """The root mean square distance of encodings of authorities, over draws of schools."""
    full = encoder(data.batch())["lea_effect"]
    batch_sizes = {"lea": data.cardinalities["lea"], "school": schools}
    stream = PlateBatches(data, batch=batch_sizes, seed=1)
    squares = []
    for number in range(DRAWS):
        batch = stream[number]
        if not weighted:
            ones = {plate: torch.ones_like(weight) for plate, weight in batch.weights.items()}
            batch = replace(batch, weights=ones)
        squares.append((encoder(batch)["lea_effect"] - full).square().mean())
    return float((torch.stack(squares).mean() / full.var(0).mean()).sqrt())


def main() -> None:
    """Train on all schools and on some, and compare encodings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schools", default="2,5,10,20", help="of an authority, with commas")
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model = chem97.model()
    data = chem97.data(model)

    def fit(batch: dict[str, int]) -> pavi.Posterior:
        return pavi.fit(
            model,
            data,
            encodings=pavi.DeepSetEncodings(),
            batch=batch,
            steps=arguments.steps,
            seed=arguments.seed,
        )

    whole = fit({})
    assert isinstance(whole.trained, pavi.PlateAmortizedGuide)
    encoder = whole.trained.encoder
    figures: dict[str, dict[str, float]] = {}
    for schools in map(int, arguments.schools.split(",")):
        part = fit({"lea": data.cardinalities["lea"], "school": schools})
        figures[str(schools)] = {
            "rms": distance(encoder, data, schools, weighted=True),
            "unweighted": distance(encoder, data, schools, weighted=False),
            "elbo": part.elbo().mean,
            "seconds": part.history["seconds"][-1],
        }
    report({"elbo_all_schools": whole.elbo().mean, "schools": figures})


if __name__ == "__main__":
    main()
