"""Write the data of a simulated problem for other libraries.

python -m benchmarks.peers.export hv hv.npz
python -m benchmarks.peers.export gre gre.npz groups=30000
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from experiments.problems.simulated import SIMULATED


def main() -> None:
    """Simulate, by default at the sizes of the paper; latents are stored too, as `true_NAME`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=sorted(SIMULATED))
    parser.add_argument("path", help="of the .npz file")
    parser.add_argument("sizes", nargs="*", metavar="size=number", help="others than the default")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    problem = SIMULATED[arguments.problem]
    sizes = {name: int(size) for name, _, size in (s.partition("=") for s in arguments.sizes)}
    model = problem.model(sizes)
    simulation = model.simulate(problem.cardinalities(sizes), seed=arguments.seed)
    stored: dict[str, Any] = {name: value.numpy() for name, value in simulation.arrays.items()}
    stored |= {f"true_{name}": value.numpy() for name, value in simulation.latents.items()}
    np.savez(arguments.path, seed=arguments.seed, **stored)


if __name__ == "__main__":
    main()
