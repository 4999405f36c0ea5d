"""Write the data of a problem for other libraries.

python -m benchmarks.peers.export hv hv.npz
python -m benchmarks.peers.export gre gre.npz groups=30000
python -m benchmarks.peers.export chem97 chem97.npz

`log_evidence` is among them where it is known: exact for `gre`, `nc` and `chem97`, otherwise the
best bound on record, which is that of the default sizes.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.problems import chem97
from experiments.problems.evidence import load_evidence
from experiments.problems.simulated import SIMULATED
from pavi import PlateData


def simulated_arrays(name: str, sizes: Mapping[str, int], *, seed: int) -> dict[str, Any]:
    """The data of a simulated problem; latents are there too, as `true_NAME`."""
    problem = SIMULATED[name]
    model = problem.model(sizes)
    simulation = model.simulate(problem.cardinalities(sizes), seed=seed)
    found: dict[str, Any] = {key: value.numpy() for key, value in simulation.arrays.items()}
    found |= {f"true_{key}": value.numpy() for key, value in simulation.latents.items()}
    data = PlateData.from_arrays(simulation.arrays, model)
    if (exact := problem.exact_evidence(data)) is not None:
        found["log_evidence"] = exact
    elif not sizes:
        found["log_evidence"] = load_evidence(name, data_seed=seed).value
    return found | {"seed": seed}


def chem97_arrays() -> dict[str, Any]:
    """Of each pupil `gcse`, `score` and the number of the school; of each school its authority."""
    data = chem97.data(chem97.model())
    return {
        "gcse": data.values["gcse"].numpy(),
        "score": data.values["score"].numpy(),
        "school": data.links["pupil"]["school"].numpy(),
        "lea": data.links["school"]["lea"].numpy(),
        "log_evidence": load_evidence("chem97").value,
    }


def main(given: Sequence[str] | None = None) -> None:
    """Simulate, by default at the sizes of the paper, or read real data."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=[*sorted(SIMULATED), "chem97"])
    parser.add_argument("path", help="of the .npz file")
    parser.add_argument("sizes", nargs="*", metavar="size=number", help="others than the default")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(given)
    sizes = {name: int(size) for name, _, size in (s.partition("=") for s in arguments.sizes)}
    if arguments.problem == "chem97":
        if sizes or arguments.seed:
            parser.error(f"chem97 is real: it has no sizes and no seed; got {arguments.sizes}")
        arrays = chem97_arrays()
    else:
        arrays = simulated_arrays(arguments.problem, sizes, seed=arguments.seed)
    np.savez(arguments.path, problem=arguments.problem, **arrays)


if __name__ == "__main__":
    main()
