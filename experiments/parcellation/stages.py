"""The stages of a parcellation: start, fit, posterior. Each goes on from what is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import final

import numpy as np
import torch
from rich.progress import Progress
from torch import Tensor

from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.course import FixedBatchCourse
from experiments.parcellation.fingerprints import SESSION, ByVertex
from experiments.parcellation.label_stream import LabelStream
from experiments.parcellation.ranks import ALONE, Ranks
from experiments.parcellation.run_files import RunFiles
from experiments.parcellation.start import Start, find_start
from experiments.parcellation.template import build_data, build_guide, build_model
from pavi import PlateData, PlateDataModule, Shard, VariationalInference
from pavi.data.module import PlateBatches
from pavi.data.stores import MemmapStore, Store, StoreWriter
from pavi.guides import PlateAmortizedGuide

SUBJECT = "subject"  # the plate that is split
KEPT_EVERY = 50  # subjects of a rank
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
        shard: The subjects that the guide is of, if they are split over ranks.
    """

    data: PlateData
    guide: PlateAmortizedGuide
    module: VariationalInference
    stream: PlateDataModule
    shard: Shard | None = None

    @property
    def own_data(self) -> PlateData:
        """The data that the guide is of."""
        return self.data if self.shard is None else self.shard.data

    @property
    def first_subject(self) -> int:
        """The number in the cohort of the first subject that the guide is of."""
        return 0 if self.shard is None else int(self.shard.rows[SUBJECT][0])

    @property
    def num_parameters(self) -> int:
        """That of the guides of all ranks, where they split one."""
        found = sum(p.numel() for p in self.guide.parameters())
        for site, table in self.guide.encoder.tables().items():
            if self.shard is not None and self.shard.on(self.data.model.sites[site].plates):
                rows, total = len(self.shard.rows[SUBJECT]), self.shard.cardinalities[SUBJECT]
                found += table.numel() // rows * (total - rows)
        return found


def reached_start(
    config: ParcellationConfig, files: RunFiles, store: MemmapStore, ranks: Ranks = ALONE
) -> Start:
    """The start, from the passes that were made and those that are left; alike on every rank.

    It reads every subject, and when it begins it compares each with its checksum on the way.

    Raises:
        DamagedStoreError: If a subject is not what was written.
    """
    passes = config.start.passes
    for done in range(passes, 0, -1):
        if (found := files.start(done)) is not None:
            break
    else:
        done, found = 0, None
    unseen = set(range(store.shape[0])) if found is None else set[int]()
    with timed(files, "start") as lap:

        def read(subject: int) -> Tensor:
            if subject in unseen:
                store.verify([subject], progress=False)
                unseen.remove(subject)
            return store.take([np.array([subject])]).squeeze(0)

        rest = find_start(
            read,
            store.shape[0],
            networks=config.networks,
            config=config.start,
            seed=config.seed,
            after=found,
            done=done,
            ranks=ranks,
        )
        for number, start in enumerate(rest, done + 1):
            files.write_start(number, start)
            lap()
            found = start
    assert found is not None
    return found


def build_fit(config: ParcellationConfig, store: Store, start: Start, ranks: Ranks = ALONE) -> Fit:
    """The guide at its start, and what it takes to train it.

    Args:
        config: Of the run.
        store: The fingerprints of all subjects, of which a rank reads its own.
        start: That of all subjects.
        ranks: Those that split the subjects, if `config` says so.

    Raises:
        ValueError: If the batch does not fit the cohort.
    """
    model = build_model(config, sessions=store.shape[SESSION], dim=store.shape[-1])
    data = build_data(model, ByVertex(store), start)
    shard = None
    if config.trainer.shard is not None:
        shard = Shard.of(data, config.trainer.shard, rank=ranks.rank, ranks=ranks.count)
    guide = build_guide(config, data if shard is None else shard.data, start)
    train = config.train
    module = VariationalInference(
        guide,
        objective=train.build_objective(),
        optimization=train.build_optimization(),
        warm_up=train.build_warm_up(),
        standardise=False,
        shard=shard,
    )
    batch = train.batch or {}
    stream = PlateDataModule(data, batch=batch, blocks=train.blocks, seed=config.seed, shard=shard)
    return Fit(data, guide, module, stream, shard)


def fixed_batch_course(config: ParcellationConfig, fit: Fit) -> FixedBatchCourse:
    """The course of the ELBO on a plate-batch that is not trained on more than any other.

    Of a split cohort it is one of the subjects of the first rank, which evaluates it.
    """
    sizes = {p: min(n, fit.data.cardinalities[p]) for p, n in COURSE_BATCH.items()}
    if fit.shard is not None:
        sizes[SUBJECT] = min(sizes[SUBJECT], *fit.shard.strata[SUBJECT])
    batches = PlateBatches(
        fit.data, batch=sizes, seed=config.seed, rank=COURSE, ahead=0, shard=fit.shard
    )
    steps = config.train.steps
    points = np.unique(np.geomspace(1, steps, COURSE_POINTS).round().astype(int))
    return FixedBatchCourse(fit.guide, batches[0], frozenset(points.tolist()))


def stream_labels(
    config: ParcellationConfig, files: RunFiles, fit: Fit, ranks: Ranks = ALONE
) -> None:
    """Write the label probabilities of all subjects, and those of the group.

    Every rank writes those of its own subjects; the first tells the store that they are there,
    once they are on the disk. What may fail on one rank is done by all together, so that it ends
    all of them, with what that one says.

    Raises:
        RankError: On every rank, if anything fails on one of several.
    """
    subjects, vertices = (fit.data.cardinalities[plate] for plate in (SUBJECT, "vertex"))
    own, draws = ranks.subjects(subjects), config.posterior.draws
    stream = LabelStream(
        fit.guide, fit.own_data, draws=draws, seed=config.seed, first=fit.first_subject
    )
    shape = (subjects, vertices, config.networks)
    with (
        timed(files, "posterior") as lap,
        ExitStack() as stack,
        Progress(transient=True, disable=not ranks.first) as bar,
    ):

        def opened() -> StoreWriter:
            writer = StoreWriter(files.labels, shape=shape, dtype="float16", manifest=ranks.first)
            return stack.enter_context(writer)

        # The first makes the store, which the others find.
        made = ranks.each(lambda: opened() if ranks.first else None)
        writer = ranks.each(lambda: made or opened())
        held = files.tensors("elbo") or {}
        elbo = held.get("subjects", torch.full((subjects, draws), torch.nan, dtype=torch.float64))
        left = [s for s in own if s not in writer.done or elbo[s].isnan().any()]
        every = ranks.together(lambda: left)
        again = sorted(writer.done & {subject for part in every for subject in part})
        # What is written again is not claimed meanwhile.
        ranks.each(lambda: writer.forget(again) if ranks.first else None)
        task = bar.add_task("posterior", total=len(left))

        def write(chosen: Sequence[int]) -> dict[int, tuple[int, list[float]]]:
            """Bring subjects to the disk: their checksums, and what they add to the ELBO."""
            for subject in chosen:
                found = stream.of(subject)
                writer.write(subject, found.probabilities.numpy())
                elbo[subject] = found.elbo
                bar.advance(task)
            writer.flush()
            checksums = writer.checksums
            return {subject: (checksums[subject], elbo[subject].tolist()) for subject in chosen}

        def keep(told: Mapping[int, tuple[int, list[float]]]) -> None:
            """Take what all ranks have written as there."""
            for subject, (_, terms) in told.items():
                elbo[subject] = torch.tensor(terms, dtype=elbo.dtype)
            if ranks.first:
                writer.claim({subject: checksum for subject, (checksum, _) in told.items()})
                files.write_tensors("elbo", {"subjects": elbo, "shared": stream.shared_elbo})
                lap()

        def finish() -> None:
            if ranks.first:
                writer.finish()
                files.write_tensors("elbo", {"subjects": elbo, "shared": stream.shared_elbo})
                group = {name: draws.mean(0) for name, draws in stream.shared.items()}
                files.write_tensors("group", {**group, "probabilities": stream.group})

        for start in range(0, max(len(part) for part in every), KEPT_EVERY):
            parts = ranks.together(partial(write, left[start : start + KEPT_EVERY]))
            ranks.each(partial(keep, {s: told for part in parts for s, told in part.items()}))
        ranks.each(finish)  # all is there for whoever reads on


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
