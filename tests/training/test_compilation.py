"""Compiled flows give the same numbers, are compiled once, and leave no trace."""

from __future__ import annotations

import copy

import pytest
import torch
from torch._dynamo.utils import counters

import pavi
from pavi.data.module import PlateBatches
from pavi.models import gaussian_random_effects
from pavi.training.compilation import compiled

# The compiler looks at the gradients of all that it meets.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")


@pytest.fixture
def problem():
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 12, "obs": 5}, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(simulation.arrays, model, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    return data, guide


def course(data, guide, *, enabled):
    """The loss of ten steps, and the number of graphs after the second and after the last."""
    torch._dynamo.reset()
    counters.clear()
    optimizer = pavi.Optimization().optimizer(guide)
    batches = PlateBatches(data, batch={"group": 4}, seed=0)
    losses, graphs = [], []
    with compiled(guide, enabled=enabled):
        for step in range(10):
            loss = pavi.ReducedELBO(draws=2)(guide, batches[step]).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.detach()))
            graphs.append(counters["stats"]["unique_graphs"])
    return losses, graphs[1], graphs[-1]


def test_the_same_losses_without_recompilation(problem):
    data, guide = problem
    twin = copy.deepcopy(guide)
    plain, _, none = course(data, guide, enabled=False)
    fast, early, late = course(data, twin, enabled=True)
    assert none == 0
    assert early == late > 0
    assert fast == pytest.approx(plain, rel=1e-9)


def test_the_guide_is_as_before(problem):
    _, guide = problem
    with compiled(guide):
        assert "forward" in vars(guide.flows["mu"])
    with pytest.raises(RuntimeError, match="stop"), compiled(guide):
        raise RuntimeError("stop")
    assert not {"forward", "inverse"} & set(vars(guide.flows["mu"]))
    copy.deepcopy(guide)


def test_a_fit_compiles(problem):
    data, _ = problem
    plain, fast = (
        pavi.fit(
            data.model,
            data,
            steps=5,
            batch={"group": 4},
            objective=pavi.ReducedELBO(draws=2),
            progress=False,
            compile=choice,
        )
        for choice in (False, True)
    )
    assert fast.history["elbo"] == pytest.approx(plain.history["elbo"], rel=1e-6)
