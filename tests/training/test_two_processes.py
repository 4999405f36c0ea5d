"""Two processes take the step of one process on the mean of their two batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from training.launching import launch
from training.two_processes import SCHEMES, STEPS, STRATEGIES, build

from pavi.data.module import PlateBatches

SCRIPT = Path(__file__).parent / "two_processes.py"


def on_one_process(scheme):
    """The same steps, the loss of both ranks' batches averaged."""
    batch, encodings = SCHEMES[scheme]
    data, module = build(encodings)
    module.guide.standardise(data.batch())
    optimizer = module.optimization.optimizer(module.guide)
    scheduler = module.optimization.scheduler(
        optimizer, STEPS, tables_from=module.guide.tables_from
    )
    clipping = module.optimization.clipping()
    streams = [PlateBatches(data, batch=batch, seed=5, rank=rank) for rank in (0, 1)]
    for step in range(STEPS):
        optimizer.zero_grad()
        emphasis = module.warm_up.emphasis(step / STEPS)
        losses = [
            module.objective(module.guide, stream[step], emphasis=emphasis).loss
            for stream in streams
        ]
        torch.stack(losses).mean().backward()
        clipping(module.guide.parameters())
        optimizer.step()
        scheduler.step()
    return module.guide.state_dict()


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    """Where the first of two processes wrote its guides."""
    out = tmp_path_factory.mktemp("guides")
    launch(SCRIPT, out)
    return out


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_equal_one_on_the_union(strategy, scheme, out):
    found = torch.load(out / f"{strategy} {scheme}.pt")
    expected = on_one_process(scheme)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)
