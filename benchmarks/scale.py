"""The step of PAVI-F against the number of groups, alternating in one run.

python -m benchmarks.scale --groups 300,1000000
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from rich.progress import track

import pavi
from benchmarks.report import peak_rss_gb, report
from pavi.data import PlateBatches
from pavi.models import gaussian_random_effects


class Run:
    """Training at one number of groups, a few steps at a time."""

    def __init__(self, groups: int, *, obs: int, batch: int) -> None:
        model = gaussian_random_effects()
        # The values do not matter for the time of a step; simulating them would.
        arrays = {"x": torch.randn(groups, obs, 2)}
        data = pavi.PlateData.from_arrays(arrays, model)
        self._guide = pavi.PlateAmortizedGuide(model, data.cardinalities)
        self._batches = PlateBatches(data, batch={"group": batch}, seed=0)
        self._objective = pavi.ReducedELBO()
        self._optimizer = pavi.Optimization().optimizer(self._guide)
        self._step = 0

    def seconds(self, steps: int) -> float:
        """Train `steps` further steps; seconds per step."""
        start = time.perf_counter()
        for _ in range(steps):
            self._optimizer.zero_grad()
            self._objective(self._guide, self._batches[self._step]).loss.backward()
            self._optimizer.step()
            self._step += 1
        return (time.perf_counter() - start) / steps


def main() -> None:
    """Alternate between the numbers of groups, and report ratios to the first."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--groups", default="300,1000000", help="numbers with commas")
    parser.add_argument("--obs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=20, help="groups a step")
    parser.add_argument("--steps", type=int, default=50, help="per round")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    numbers = [int(number) for number in arguments.groups.split(",")]
    runs = [Run(number, obs=arguments.obs, batch=arguments.batch) for number in numbers]
    for run in runs:
        run.seconds(arguments.steps)
    rounds = [
        [run.seconds(arguments.steps) for run in runs]
        for _ in track(range(arguments.rounds), "scale", transient=True)
    ]
    ratios = {
        str(number): median(times[k] / times[0] for times in rounds)
        for k, number in enumerate(numbers)
    }
    report(
        {
            "step_ratio": ratios[str(numbers[-1])],
            "step_ratios": ratios,
            "step_ms": {
                str(number): 1e3 * median(times[k] for times in rounds)
                for k, number in enumerate(numbers)
            },
            "peak_rss_gb": peak_rss_gb(),
        }
    )


if __name__ == "__main__":
    main()
