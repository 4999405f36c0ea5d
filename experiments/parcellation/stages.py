"""The stages of a parcellation: start, fit, posterior. Each goes on from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.course import FixedBatchCourse
from experiments.parcellation.fingerprints import SESSION, ByVertex
from experiments.parcellation.label_stream import LabelStream
from experiments.parcellation.run_files import RunFiles
from experiments.parcellation.start import Start, find_start
from experiments.parcellation.template import build_data, build_guide, build_model
from pavi import PlateData, PlateDataModule, VariationalInference
from pavi.data.module import PlateBatches
from pavi.data.stores import Store, StoreWriter
from pavi.guides import PlateAmortizedGuide

# The fixed batch: at most so many rows, at so many steps, with a stream of random numbers that no
# rank has.
COURSE_BATCH, COURSE_POINTS, COURSE = {"subject": 32, "vertex": 1024}, 30, 2**31 - 1


@final
@dataclass(frozen=True)
class Fit:
    """What is fitted.

    Args:
        data: The data of the cohort.
        guide: The variational family.
        module: The guide with its objective and optimiser.
        stream: The plate-batches.
    """

    data: PlateData
    guide: PlateAmortizedGuide
    module: VariationalInference
    stream: PlateDataModule


def reached_start(config: ParcellationConfig, files: RunFiles, store: Store) -> Start:
    """The start, from the passes that were made and those that are left."""
    passes = config.start.passes
    for done in range(passes, 0, -1):
        if (found := files.start(done)) is not None:
            break
    else:
        done, found = 0, None
    with timed(files, "start") as lap:

        def read(subject: int) -> Tensor:
            return store.take([np.array([subject])]).squeeze(0)

        rest = find_start(
            read,
            store.shape[0],
            networks=config.networks,
            config=config.start,
            seed=config.seed,
            after=found,
            done=done,
        )
        for number, start in enumerate(rest, done + 1):
            files.write_start(number, start)
            lap()
            found = start
    assert found is not None
    return found


def build_fit(config: ParcellationConfig, store: Store, start: Start) -> Fit:
    """The guide at its start, and what it takes to train it.

    Raises:
        ValueError: If the batch does not fit the cohort.
    """
    model = build_model(config, sessions=store.shape[SESSION], dim=store.shape[-1])
    data = build_data(model, ByVertex(store), start)
    guide = build_guide(config, data, start)
    train = config.train
    module = VariationalInference(
        guide,
        objective=train.build_objective(),
        optimization=train.build_optimization(),
        warm_up=train.build_warm_up(),
        standardise=False,
    )
    batch = train.batch or {}
    stream = PlateDataModule(data, batch=batch, blocks=train.blocks, seed=config.seed)
    return Fit(data, guide, module, stream)


def fixed_batch_course(config: ParcellationConfig, fit: Fit) -> FixedBatchCourse:
    """The course of the ELBO on a plate-batch that is not trained on more than any other."""
    sizes = {p: min(n, fit.data.cardinalities[p]) for p, n in COURSE_BATCH.items()}
    batches = PlateBatches(fit.data, batch=sizes, seed=config.seed, rank=COURSE, ahead=0)
    steps = config.train.steps
    points = np.unique(np.geomspace(1, steps, COURSE_POINTS).round().astype(int))
    return FixedBatchCourse(fit.guide, batches[0], frozenset(points.tolist()))


def stream_labels(config: ParcellationConfig, files: RunFiles, fit: Fit) -> None:
    """Write the label probabilities of all subjects, and those of the group."""
    stream = LabelStream(fit.guide, fit.data, draws=config.posterior.draws, seed=config.seed)
    subjects, vertices = (fit.data.cardinalities[plate] for plate in ("subject", "vertex"))
    shape = (subjects, vertices, config.networks)
    with (
        timed(files, "posterior") as lap,
        StoreWriter(files.labels, shape=shape, dtype="float16") as writer,
    ):
        held = files.tensors("elbo") or {}
        elbo = held.get(
            "subjects",
            torch.full((subjects, config.posterior.draws), torch.nan, dtype=torch.float64),
        )
        left = [s for s in range(subjects) if s not in writer.done or elbo[s].isnan().any()]
        for number, subject in enumerate(track(left, "posterior", transient=True), 1):
            found = stream.of(subject)
            writer.write(subject, found.probabilities.numpy())
            elbo[subject] = found.elbo
            if number % 50 == 0:
                writer.flush()
                files.write_tensors("elbo", {"subjects": elbo, "shared": stream.shared_elbo})
                lap()
        writer.finish()
        files.write_tensors("elbo", {"subjects": elbo, "shared": stream.shared_elbo})
        group = {name: draws.mean(0) for name, draws in stream.shared.items()}
        files.write_tensors("group", {**group, "probabilities": stream.group})


@contextmanager
def timed(files: RunFiles, stage: str) -> Iterator[Callable[[], None]]:
    """Add the seconds of what is done inside to those of a stage, at the end and when called.

    What has been kept is timed when it is kept, so that a killed run loses neither.
    """
    begin = time.monotonic()

    def lap() -> None:
        nonlocal begin
        now = time.monotonic()
        files.add_seconds(stage, now - begin)
        begin = now

    try:
        yield lap
    finally:
        lap()
