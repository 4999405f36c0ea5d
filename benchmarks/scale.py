"""The step, the memory and the start against the number of ground variables.

python -m benchmarks.scale --latents 1e3,1e4,1e5,1e6,1e7,1e8

Every number has a process of its own, with data in a file that is mapped to memory; they take
turns, some steps each, so that what else the machine does falls on all alike. Every turn is taken
twice: among many ground variables a step meets rows that were never drawn, whose memory the system
has yet to find; when it is taken again, rows that were.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any, final

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import pavi
from benchmarks.report import report
from experiments.peak_memory import peak_rss_gb
from pavi.data import PlateDataModule
from pavi.data.module import PlateBatches
from pavi.encodings import Encodings
from pavi.models import gaussian_random_effects

OBS = 2  # values per ground variable
PART = 10_000_000  # that are simulated at a time
ENCODINGS: dict[str, Encodings] = {
    "free": pavi.FreeEncodings(),
    "deep-set": pavi.DeepSetEncodings(),
}
FIGURES = (
    ("step_ms", "step ms"),
    ("step_ratio", "ratio"),
    ("again_ms", "again ms"),
    ("again_ratio", "ratio"),
    ("start_seconds", "start s"),
    ("peak_rss_gb", "peak GB"),
)
BASE = 10_000  # whose step all others are compared with


class Run:
    """Training with one number of ground variables, the means of as many groups.

    Args:
        latents: The number.
        file: With the data, in single precision.
        encodings: Where the encodings come from.
        batch: Ground variables in a step.
    """

    def __init__(self, latents: int, file: Path, *, encodings: str, batch: int) -> None:
        model = gaussian_random_effects(dim=1)
        x = torch.from_file(str(file), shared=False, size=latents * OBS).view(latents, OBS, 1)
        data = pavi.PlateData.from_arrays({"x": x}, model)
        self._guide = pavi.PlateAmortizedGuide(
            model, data.cardinalities, encodings=ENCODINGS[encodings]
        )
        stream = PlateDataModule(data, batch={"group": batch})
        self._guide.standardise(stream.reference())
        self._batches = PlateBatches(data, batch={"group": batch}, seed=0)
        optimization = pavi.Optimization()
        self._objective, self._clipping = pavi.ReducedELBO(), optimization.clipping()
        self._optimizer = optimization.optimizer(self._guide)

    def milliseconds(self, steps: range) -> list[float]:
        """Train on batches of these numbers; what each step took."""
        found = []
        for step in steps:
            begin = time.perf_counter()
            self._optimizer.zero_grad()
            self._objective(self._guide, self._batches[step]).loss.backward()
            self._clipping(self._guide.parameters())
            self._optimizer.step()
            found.append(1e3 * (time.perf_counter() - begin))
        return found


@final
class Worker:
    """A run in a process of its own.

    Args:
        latents: Of the run.
        file: Of the run.
        options: Of the run.
    """

    def __init__(self, latents: int, file: Path, **options: Any) -> None:
        self._here, there = multiprocessing.Pipe()
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_work, args=(there, latents, file, options))
        self._process.start()
        self.start_seconds: float = self._here.recv()

    def milliseconds(self, steps: range) -> list[float]:
        """See `Run`."""
        self._here.send(steps)
        found: list[float] = self._here.recv()
        return found

    def end(self) -> float:
        """End it; the largest memory that it had, in gigabytes."""
        self._here.send(range(0))
        peak: float = self._here.recv()
        self._process.join()
        return peak


def _work(there: Connection, latents: int, file: Path, options: dict[str, Any]) -> None:
    begin = time.perf_counter()
    run = Run(latents, file, **options)
    run.milliseconds(range(1))
    there.send(time.perf_counter() - begin)
    while steps := there.recv():
        there.send(run.milliseconds(steps))
    there.send(peak_rss_gb())


def simulated(file: Path, latents: int, progress: Progress) -> Path:
    """Write standard normal values, as many as the largest run needs."""
    rng = np.random.default_rng(0)
    with file.open("wb") as stream:
        for _ in progress.track(range(0, latents * OBS, PART), description="data"):
            stream.write(rng.standard_normal(PART, dtype=np.float32).tobytes())
    return file


def main() -> None:
    """Take turns, and report ratios to the step at 10,000 ground variables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--latents", default="1e3,1e4,1e5,1e6,1e7,1e8", help="numbers")
    parser.add_argument("--encodings", default=",".join(ENCODINGS), help="PAVI-F and PAVI-E")
    parser.add_argument("--batch", type=int, default=20, help="ground variables in a step")
    parser.add_argument("--steps", type=int, default=50, help="per turn")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="for the data: 8 bytes a ground variable")
    arguments = parser.parse_args()
    numbers = [int(float(number)) for number in arguments.latents.split(",")]
    kinds = arguments.encodings.split(",")
    # Drawn by hand: a process that forks must not have threads.
    with ExitStack() as stack:
        progress = stack.enter_context(
            Progress(console=Console(stderr=True), auto_refresh=False, transient=True)
        )
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=arguments.folder))
        file = simulated(Path(folder) / "x", max(numbers), progress)
        found = {
            kind: measured(numbers, file, kind, arguments, progress=progress) for kind in kinds
        }
    base = str(BASE if BASE in numbers else numbers[0])
    for kind in kinds:
        for each in found[kind].values():
            for name in ("step", "again"):
                each[f"{name}_ratio"] = each[f"{name}_ms"] / found[kind][base][f"{name}_ms"]
    Console(stderr=True, width=100).print(table(found))
    report(
        {
            "step_ratio": {kind: found[kind][str(numbers[-1])]["step_ratio"] for kind in kinds},
            "batch": arguments.batch,
            **{kind.replace("-", "_"): found[kind] for kind in kinds},
        }
    )


def measured(
    numbers: list[int],
    file: Path,
    encodings: str,
    arguments: argparse.Namespace,
    *,
    progress: Progress,
) -> dict[str, dict[str, float]]:
    """Per number of ground variables: the step, the memory and the start."""
    workers = {
        number: Worker(number, file, encodings=encodings, batch=min(arguments.batch, number))
        for number in numbers
    }
    first, again = ({number: list[float]() for number in numbers} for _ in range(2))
    turns = [
        range(t * arguments.steps, (t + 1) * arguments.steps) for t in range(arguments.rounds)
    ]
    for worker in workers.values():
        worker.milliseconds(turns[0])  # to warm up
    for turn in progress.track(turns[1:], description=encodings):
        for number, worker in workers.items():
            first[number] += worker.milliseconds(turn)
        for number, worker in workers.items():
            again[number] += worker.milliseconds(turn)
    return {
        str(number): {
            "step_ms": median(first[number]),
            "again_ms": median(again[number]),
            "start_seconds": worker.start_seconds,
            "peak_rss_gb": worker.end(),
        }
        for number, worker in workers.items()
    }


def table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    """A line per kind of encodings and number."""
    shown = Table(title="Against the number of ground variables", title_justify="left")
    headings = ("encodings", "ground variables", *(heading for _, heading in FIGURES))
    for heading in headings:
        shown.add_column(heading, justify="left" if heading == "encodings" else "right")
    for kind, by_number in found.items():
        for number, each in by_number.items():
            figures = (f"{each[name]:.3f}" for name, _ in FIGURES)
            shown.add_row(kind, f"{int(number):,}", *figures)
    return shown


if __name__ == "__main__":
    main()
