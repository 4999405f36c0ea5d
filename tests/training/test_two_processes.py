"""Two processes take the step of one process on the mean of their two batches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
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
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    finished = subprocess.run(
        [sys.executable, *launch, SCRIPT, out],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_equal_one_on_the_union(strategy, scheme, out):
    found = torch.load(out / f"{strategy} {scheme}.pt")
    expected = on_one_process(scheme)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-11)
