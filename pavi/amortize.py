"""The front door to sample amortization: train once, condition on any number of data sets."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pavi.core import HierarchicalModel
from pavi.data import SimulatedDataModule
from pavi.data.simulated import DATASET, Cardinality
from pavi.encodings import ComputedEncodings, DeepSetEncodings
from pavi.flows import Flow
from pavi.guides import PlateAmortizedGuide
from pavi.objectives import ForwardKL, ReducedELBO, WarmUp
from pavi.posterior import AmortizedPosterior
from pavi.training import Optimization, VariationalInference, train


def amortize(
    model: HierarchicalModel,
    cardinalities: Mapping[str, Cardinality],
    *,
    encodings: ComputedEncodings | None = None,
    flow: Flow | None = None,
    flows: Mapping[str, Flow] | None = None,
    dependence: str = "faithful",
    objective: ReducedELBO | ForwardKL | None = None,
    warm_up: WarmUp | None = None,
    optimization: Optimization | None = None,
    datasets: int = 32,
    steps: int = 2000,
    seed: int = 0,
    progress: bool = True,
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
        dependence: What a flow may see, `"faithful"` or `"parents"`.
        objective: The reduced ELBO by default, or `ForwardKL`.
        warm_up: What the first part of the run weighs otherwise; nothing by default.
        optimization: Learning rates, schedule and clipping.
        datasets: How many data sets a step sees.
        steps: The number of steps.
        seed: Of initial weights, data sets and noise.
        progress: Whether to show a bar.
        accelerator: Lightning's accelerator.

    Raises:
        ValueError: If an argument does not fit the model, or the prior cannot be simulated.
        NonFiniteLossError: If the loss becomes NaN or infinite.

    Example:
        `pavi.amortize(model, {"group": (3, 300), "obs": 50}).condition(data).summary()`
    """
    stream = SimulatedDataModule(model, cardinalities, datasets=datasets, seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        guide = PlateAmortizedGuide(
            stream.model,
            dict.fromkeys(stream.model.plates, 1),
            encodings=encodings or DeepSetEncodings(),
            flow=flow,
            flows=flows,
            dependence=dependence,
            datasets=DATASET,
        )
    module = VariationalInference(
        guide, objective=objective, warm_up=warm_up, optimization=optimization
    )
    history = train(module, stream, steps=steps, progress=progress, accelerator=accelerator)
    return AmortizedPosterior(model, guide.cpu(), history=history)
