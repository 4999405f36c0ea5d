"""Reading plate-batches of a cohort from disk: what a batch takes, and what a step waits for it.

python -m benchmarks.stores --subjects 64

The batch is that of the cohort, 8 subjects x 2 sessions x 4 runs of 64 vertices x 64 numbers in
half precision. The files are in the page cache. `wait_share` is the time that steps of some 12 ms
wait for their batches, over the time of the run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
import zarr
from rich.progress import track

import pavi
from benchmarks.report import report
from pavi.data import PlateBatches, PlateSampler
from pavi.data.stores import MemmapStore, StoreWriter, ZarrStore
from pavi.models import multi_session_parcellation

SESSIONS, VERTICES, DIM = 2, 59_412, 64
BATCH, BLOCKS = {"subject": 8, "vertex": 256}, {"vertex": 64}
STEP_MS = 12.0
CHUNK = 2048  # vertices in a chunk of zarr

Rows = list[np.ndarray | None]


def write(folder: Path, subjects: int) -> tuple[MemmapStore, ZarrStore]:
    """The same noise as a store and as a zarr array."""
    rng = np.random.default_rng(0)
    shape = (subjects, SESSIONS, VERTICES, DIM)
    array = zarr.create_array(
        folder / "x.zarr",
        shape=shape,
        chunks=(1, SESSIONS, CHUNK, DIM),
        dtype="float16",
        compressors=None,
    )
    with StoreWriter(folder / "x", shape=shape) as writer:
        for subject in track(range(subjects), "writing", transient=True):
            values = rng.standard_normal(shape[1:], dtype=np.float32).astype(np.float16)
            writer.write(subject, values)
            array[subject] = values
        writer.finish()
    return MemmapStore.open(folder / "x"), ZarrStore.open(folder / "x.zarr")


def batch_ms(read: Callable[[Rows], torch.Tensor], batches: list[Rows]) -> float:
    """The median time of a batch, the second time that it is read."""
    times = []
    for again in (False, True):
        for rows in batches:
            start = time.perf_counter()
            read(rows)
            if again:
                times.append(time.perf_counter() - start)
    return 1e3 * median(times)


def mapped(path: Path) -> Callable[[Rows], torch.Tensor]:
    """The same by a map of memory."""
    array = np.load(path, mmap_mode="r")

    def read(rows: Rows) -> torch.Tensor:
        index = [np.arange(n) if r is None else r for r, n in zip(rows, array.shape, strict=False)]
        return torch.from_numpy(array[np.ix_(*index)]).float()

    return read


class Step:
    """Stands in for a step: operations as small as those of a guide, for about so long."""

    def __init__(self, milliseconds: float) -> None:
        self._weight = torch.randn(DIM, DIM) / DIM**0.5
        self._repeats = 1
        x = torch.randn(BATCH["subject"], SESSIONS, BATCH["vertex"], DIM)
        times = []
        for _ in range(100):
            start = time.perf_counter()
            self(x)
            times.append(1e3 * (time.perf_counter() - start))
        self._repeats = max(1, round(milliseconds / median(times)))

    def __call__(self, x: torch.Tensor) -> None:
        """Take a step."""
        for _ in range(self._repeats):
            hidden = x[:, 0, :32]
            for _ in range(10):
                hidden = (hidden @ self._weight).tanh() + hidden
            hidden.sum().item()


def waiting(data: pavi.PlateData, step: Step, *, steps: int, ahead: int) -> dict[str, float]:
    """What steps wait for their batches; the first one, which nothing can hide, does not count."""
    batches = PlateBatches(data, batch=BATCH, blocks=BLOCKS, seed=0, ahead=ahead)
    stream, waits = iter(batches), []
    next(stream)
    start = time.perf_counter()
    for _ in range(steps):
        before = batches.waited
        batch = next(stream)
        waits.append(batches.waited - before)
        step(batch.values["x"])
    seconds = time.perf_counter() - start
    return {
        "step_ms": 1e3 * seconds / steps,
        "median_wait_ms": 1e3 * median(waits),
        "wait_share": sum(waits) / seconds,
    }


def main() -> None:
    """Write, read in three ways, and take steps with and without reading ahead."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--subjects", type=int, default=64)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        store, array = write(Path(name), arguments.subjects)
        model = multi_session_parcellation(networks=7, dim=DIM)
        data = pavi.PlateData.from_arrays({"x": store}, model)
        sampler, rng = PlateSampler(data, BATCH, blocks=BLOCKS), np.random.default_rng(0)
        drawn = [sampler.draw(rng)[0] for _ in range(100)]
        step = Step(STEP_MS)
        batches: list[Rows] = [[rows["subject"], None, rows["vertex"]] for rows in drawn]
        report(
            {
                "gigabytes": store.shape[0] * SESSIONS * VERTICES * DIM * 2 / 1e9,
                "batch_ms": {
                    "preadv": batch_ms(store.take, batches),
                    "mmap": batch_ms(mapped(Path(name) / "x" / "values.npy"), batches),
                    "zarr": batch_ms(array.take, batches),
                },
                "steps": {
                    f"{ahead} ahead": waiting(data, step, steps=arguments.steps, ahead=ahead)
                    for ahead in (0, 4)
                },
            }
        )


if __name__ == "__main__":
    main()
