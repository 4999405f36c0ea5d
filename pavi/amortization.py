"""The front door to sample amortization: train once, condition on any number of data sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch

from pavi.core import HierarchicalModel
from pavi.data import SimulatedDataModule
from pavi.data.simulated import DATASET, Cardinality
from pavi.encodings import ComputedEncodings, DeepSetEncodings
from pavi.fit_identity import fit_identity
from pavi.flows import Flow
from pavi.guides import PlateAmortizedGuide
from pavi.objectives import ForwardKL, ReducedELBO, WarmUp
from pavi.posterior import AmortizedPosterior
from pavi.training import Optimization, VariationalInference, train

GuideFactory = Callable[..., PlateAmortizedGuide]


def amortize(
    model: HierarchicalModel,
    cardinalities: Mapping[str, Cardinality],
    *,
    encodings: ComputedEncodings | None = None,
    flow: Flow | None = None,
    flows: Mapping[str, Flow] | None = None,
    dependence: str = "faithful",
    guide: GuideFactory | None = None,
    objective: ReducedELBO | ForwardKL | None = None,
    warm_up: WarmUp | None = None,
    optimization: Optimization | None = None,
    datasets: int = 32,
    steps: int = 2000,
    seed: int = 0,
    checkpoints: Path | str | None = None,
    progress: bool = True,
    devices: int = 1,
    nodes: int = 1,
    accelerator: str = "auto",
) -> AmortizedPosterior:
    """Train a guide over data sets that are drawn from the prior predictive.

    Args:
        model: The template.
        cardinalities: Per plate its number of rows, or the smallest and the largest one to
            expect; numbers between them are drawn for every step.
        encodings: Deep sets by default.
        flow: The flow of every site; affine by default.
        flows: Per site, another flow.
        dependence: What a flow may see, `"faithful"`, `"parents"` or `"none"`.
        guide: What makes the guide, in place of the four above: `pavi.guides.adavi`, `branch` or
            another function of the lifted model, its cardinalities and `datasets=`, the name of
            its plate of data sets.
        objective: The reduced ELBO by default, or `ForwardKL`.
        warm_up: What the first part of the run weighs otherwise; nothing by default.
        optimization: Learning rates, schedule and clipping; networks learn at half the learning
            rate if it does not say how fast.
        datasets: How many data sets a step sees, on each device: every one draws its own, and
            gradients are averaged.
        steps: The number of steps.
        seed: Of initial weights, data sets and noise.
        checkpoints: A folder to write checkpoints to; a training that finds one there goes on
            from it.
        progress: Whether to show a bar.
        devices: How many devices, on each node.
        nodes: How many machines.
        accelerator: Lightning's accelerator.

    Raises:
        ValueError: If an argument does not fit the model, the prior cannot be simulated,
            `guide` is given together with what it decides, or the checkpoints are damaged or of
            another training.
        NonFiniteLossError: If the loss becomes NaN or infinite.
        FitStopped: With checkpoints, if SIGTERM or SIGUSR1 comes, with a checkpoint of that step.
        ProcessLostError: If another process of a training on several devices was lost.

    Example:
        `pavi.amortize(model, {"group": (3, 300), "obs": 50}).condition(data).summary()`
    """
    stream = SimulatedDataModule(model, cardinalities, datasets=datasets, seed=seed)
    if guide is None:
        guide = partial(
            PlateAmortizedGuide,
            encodings=encodings or DeepSetEncodings(),
            flow=flow,
            flows=flows,
            dependence=dependence,
        )
    elif given := [
        name
        for name, choice in (("encodings", encodings), ("flow", flow), ("flows", flows))
        if choice is not None
    ] + ["dependence"] * (dependence != "faithful"):
        raise ValueError(
            f"guide is given together with {given}, which the guide decides; leave these out, or "
            "give them to it by functools.partial."
        )
    module = over_data_sets(
        stream, guide, seed=seed, objective=objective, warm_up=warm_up, optimization=optimization
    )
    history = train(
        module,
        stream,
        steps=steps,
        checkpoints=None if checkpoints is None else Path(checkpoints),
        progress=progress,
        devices=devices,
        nodes=nodes,
        accelerator=accelerator,
        run={**fit_identity(module, cardinalities, seed=seed), "data sets a step": datasets},
    )
    guide_of_all = module.guide.cpu()
    assert isinstance(guide_of_all, PlateAmortizedGuide)
    return AmortizedPosterior(model, guide_of_all, history=history)


def over_data_sets(
    stream: SimulatedDataModule,
    guide: GuideFactory,
    *,
    seed: int,
    objective: ReducedELBO | ForwardKL | None = None,
    warm_up: WarmUp | None = None,
    optimization: Optimization | None = None,
    dtype: torch.dtype = torch.float32,
) -> VariationalInference:
    """A guide of the data sets of a stream, with what trains it.

    Args:
        stream: The data sets.
        guide: What makes the guide, see `amortize`.
        seed: Of initial weights.
        objective: See `amortize`.
        warm_up: See `amortize`.
        optimization: See `amortize`.
        dtype: The floating-point type of the weights, that of the stream.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        built = guide(stream.model, dict.fromkeys(stream.model.plates, 1), datasets=DATASET)
    return VariationalInference(
        built.to(dtype),
        objective=objective,
        warm_up=warm_up,
        optimization=(optimization or Optimization()).over_data_sets(),
    )
