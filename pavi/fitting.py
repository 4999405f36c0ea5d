"""The one-call front door."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytorch_lightning as pl
import torch

from pavi.core import HierarchicalModel
from pavi.data import (
    PlateData,
    PlateDataModule,
    Shard,
    default_batch,
    default_shard_batch,
    fingerprint,
)
from pavi.encodings import Encodings
from pavi.fit_checks import check_choices, check_model_and_data, check_numbers
from pavi.fit_identity import fit_identity
from pavi.flows import Flow
from pavi.guides import PlateAmortizedGuide
from pavi.guides.base import Guide
from pavi.objectives import ReducedELBO, WarmUp
from pavi.posterior import Posterior
from pavi.posterior.encode import encode
from pavi.training import (
    Optimization,
    VariationalInference,
    assembled,
    initialise_guide,
    rank_and_ranks,
    train,
)


def fit(
    model: HierarchicalModel,
    data: PlateData,
    *,
    encodings: Encodings | None = None,
    flow: Flow | None = None,
    flows: Mapping[str, Flow] | None = None,
    dependence: str = "faithful",
    guide: Guide | None = None,
    objective: ReducedELBO | None = None,
    warm_up: WarmUp | None = None,
    optimization: Optimization | None = None,
    batch: Mapping[str, int] | None = None,
    blocks: Mapping[str, int] | None = None,
    steps: int = 2000,
    seed: int = 0,
    checkpoints: Path | str | None = None,
    progress: bool = True,
    callbacks: Sequence[pl.Callback] = (),
    devices: int = 1,
    nodes: int = 1,
    shard: str | None = None,
    assemble: bool = True,
    accelerator: str = "auto",
    compile: bool = False,
) -> Posterior:
    """Fit a plate-amortized guide.

    Args:
        model: The template.
        data: The data.
        encodings: Free (PAVI-F) by default.
        flow: The flow of every site; affine by default.
        flows: Per site, another flow.
        dependence: What a flow may see, `"faithful"` or `"parents"`.
        guide: A ready guide, in place of the four above.
        objective: The reduced ELBO of 8 draws with path gradients by default.
        warm_up: What the first part of the run weighs otherwise; nothing by default.
        optimization: Learning rates, schedule and clipping.
        batch: Rows to draw per plate and step, see `PlateSampler`. By default all data while they
            are small, otherwise rows of the largest plate that lies within no other.
        blocks: Per plate of `batch`, the length of the runs of consecutive rows that it comes in,
            see `PlateSampler`; single rows by default.
        steps: The number of steps.
        seed: Of initial weights, batches and noise.
        checkpoints: A folder to write checkpoints to; a fit that finds one there goes on from it.
        progress: Whether to show a bar.
        callbacks: Further Lightning callbacks.
        devices: How many devices, on each node.
        nodes: How many machines.
        shard: A plate that lies within no other, whose rows are split over the devices: each has
            the data, encodings and optimiser state of its own rows. All rows on each by default.
        assemble: Whether every device returns the posterior of all rows; otherwise it returns
            that of its own, with their data, which needs no more memory than the fit.
        accelerator: Lightning's accelerator.
        compile: Whether to compile the flows, which pays for autoregressive ones in long runs.

    Raises:
        ValueError: If an argument does not fit the model or the data, or the checkpoints are
            damaged, of a fit with another model, guide, objective, optimization, warm-up, batch,
            seed, plate sizes or data, or cannot be written.
        NonFiniteLossError: If the loss becomes NaN or infinite.
        DiskFullError: If the disk has no room for a checkpoint; the one before stays.
        FitStopped: With checkpoints, if SIGTERM or SIGUSR1 comes: when the step is done and a
            checkpoint written. It is an exit with code 75; the same call goes on. (Ctrl-C does
            the same and stays a `KeyboardInterrupt`.)
        ProcessLostError: If another process of a fit on several devices was lost.
    """
    check_model_and_data(model, data)
    check_choices(
        model,
        encodings=encodings,
        flow=flow,
        flows=flows,
        dependence=dependence,
        guide=guide,
        objective=objective,
        warm_up=warm_up,
        optimization=optimization,
    )
    check_numbers(batch=batch, blocks=blocks, steps=steps, seed=seed)
    part: Shard | None = None
    if shard is not None:
        rank, ranks = rank_and_ranks(devices=devices, nodes=nodes, accelerator=accelerator)
        part = Shard.of(data, shard, rank=rank, ranks=ranks)
    elif not assemble:
        raise ValueError("assemble=False is for a fit that is split; name a plate with shard=.")
    if guide is None:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            guide = PlateAmortizedGuide(
                model,
                (data if part is None else part.data).cardinalities,
                encodings=encodings,
                flow=flow,
                flows=flows,
                dependence=dependence,
            ).to(data.like.dtype)
        initialise_guide(guide, data, part)
    module = VariationalInference(
        guide,
        objective=objective,
        warm_up=warm_up,
        optimization=optimization,
        shard=part,
    )
    if batch is None:
        batch = default_batch(data) if part is None else default_shard_batch(data, part)
    stream = PlateDataModule(data, batch=batch, blocks=blocks, seed=seed, shard=part)
    history = train(
        module,
        stream,
        steps=steps,
        checkpoints=None if checkpoints is None else Path(checkpoints),
        progress=progress,
        callbacks=callbacks,
        devices=devices,
        nodes=nodes,
        accelerator=accelerator,
        compile=compile,
        run={
            **fit_identity(module, data.cardinalities, seed=seed),
            "batch": {plate: int(size) for plate, size in batch.items()},
            "blocks": {plate: int(size) for plate, size in (blocks or {}).items()},
            # They are read for it, so only where there is something to compare.
            "data": {} if checkpoints is None else fingerprint(data),
        },
    )
    guide = guide.cpu()
    if part is not None and assemble:
        guide = assembled(guide, part)
    if part is None or assemble:
        return Posterior(guide, data, history=history)
    assert isinstance(guide, PlateAmortizedGuide)  # others cannot be split
    held = encode(guide.encoder, part.data, shard=part) if guide.amortized else None
    return Posterior(guide, part.data, encodings=held, history=history)
