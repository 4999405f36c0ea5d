"""Sharded ranks take the step of one process on the mean of their batches."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO
from training.launching import launch
from training.sharded_processes import BATCHES, SCHEMES, STEPS, data_of, guide_of

import pavi
from pavi.data import PlateBatches, Shard
from pavi.guides import UIVIGuide
from pavi.models import gaussian_random_effects
from pavi.posterior.encode import encode

SCRIPT = Path(__file__).parent / "sharded_processes.py"


@pytest.fixture(scope="module", params=[2, 4])
def launched(request, tmp_path_factory):
    """The number of ranks, and where each wrote what it had in the end."""
    out = tmp_path_factory.mktemp("ranks")
    launch(SCRIPT, out, ranks=request.param)
    return request.param, out


def found_by(out, scheme, ranks):
    return [torch.load(out / f"{scheme}.{rank}.pt") for rank in range(ranks)]


def in_whole(batch, shard):
    """A batch of a shard, in the rows of the whole data."""
    rows = {p: torch.as_tensor(own)[batch.rows[p]] for p, own in shard.rows.items()}
    return replace(batch, rows={**batch.rows, **rows})


@cache
def on_one_process(scheme, ranks):
    """The same steps with all tables in one place, the losses of all ranks' batches averaged."""
    _, _, plate, sizes, _ = SCHEMES[scheme]
    data = data_of(scheme)
    shards = [Shard.of(data, plate, rank=rank, ranks=ranks) for rank in range(ranks)]
    streams = [PlateBatches(data, batch=sizes, seed=5, rank=s.rank, shard=s) for s in shards]
    guide = guide_of(scheme, data.cardinalities)
    guide.standardise(pavi.PlateDataModule(data, seed=5).reference())
    optimization = pavi.Optimization(clip_norm=10.0, schedule="constant")
    optimizer, clipping = optimization.optimizer(guide), optimization.clipping()
    scheduler = optimization.scheduler(optimizer, STEPS, tables_from=guide.tables_from)
    objective, gradients, count = pavi.ReducedELBO(), [], BATCHES.get(scheme, 1)
    for step in range(STEPS):
        optimizer.zero_grad()
        batches = [
            in_whole(s[number], shard)
            for s, shard in zip(streams, shards, strict=True)
            for number in range(step * count, (step + 1) * count)
        ]
        torch.stack([objective(guide, batch).loss for batch in batches]).mean().backward()
        gradients.append({n: p.grad.to_dense().clone() for n, p in guide.named_parameters()})
        clipping(guide.parameters())
        optimizer.step()
        scheduler.step()
    return guide.state_dict(), gradients, shards, encode(guide.eval().encoder, data)


def rows_of(name, value, shard):
    """What of a parameter of the guide of all rows a rank has."""
    site = name.rpartition("_tables.")[2]
    plates = shard.data.model.sites[site].plates if site in shard.data.model.sites else ()
    split = shard.on(plates) if "_tables." in name else None
    if split is None:
        return value
    whole = value.view(*(shard.cardinalities[plate] for plate in plates), value.shape[-1])
    own = whole.index_select(plates.index(split), torch.as_tensor(shard.rows[split]))
    return own.reshape(-1, value.shape[-1])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_ranks_equal_one_process_on_the_union(launched, scheme):
    ranks, out = launched
    state, gradients, shards, _ = on_one_process(scheme, ranks)
    for shard, found in zip(shards, found_by(out, scheme, ranks), strict=True):
        assert found["state"].keys() == state.keys()
        for name, value in state.items():
            expected = rows_of(name, value, shard)
            torch.testing.assert_close(found["state"][name], expected, rtol=1e-9, atol=1e-11)
        for step, expected in zip(found["gradients"], gradients, strict=True):
            for name, value in expected.items():
                atol = 1e-11 * float(value.abs().max())
                torch.testing.assert_close(
                    step[name], rows_of(name, value, shard), rtol=1e-8, atol=atol
                )


@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_is_shared_is_equal_to_the_last_bit(launched, scheme):
    ranks, out = launched
    shard = Shard.of(data_of(scheme), SCHEMES[scheme][2], rank=0, ranks=ranks)
    first, *others = found_by(out, scheme, ranks)
    shared = [n for n, v in first["assembled"].items() if rows_of(n, v, shard) is v]
    assert shared
    for other in others:
        assert all(torch.equal(other["state"][name], first["state"][name]) for name in shared)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_rank_assembles_the_guide_of_all_rows(launched, scheme):
    ranks, out = launched
    state, *_ = on_one_process(scheme, ranks)
    for found in found_by(out, scheme, ranks):
        for name, value in state.items():
            torch.testing.assert_close(found["assembled"][name], value, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_encodings_of_a_rank_are_those_from_the_data_of_all(launched, scheme):
    ranks, out = launched
    *_, shards, expected = on_one_process(scheme, ranks)
    for shard, found in zip(shards, found_by(out, scheme, ranks), strict=True):
        for site, value in expected.items():
            plates = shard.data.model.sites[site].plates
            if (split := shard.on(plates)) is not None:
                value = value.index_select(plates.index(split), torch.as_tensor(shard.rows[split]))
            torch.testing.assert_close(found["encodings"][site], value, rtol=1e-9, atol=1e-11)


@pytest.fixture
def problem():
    model = gaussian_random_effects()
    return model, pavi.PlateData.from_arrays({"x": torch.zeros(3, 4, 2)}, model)


def test_more_ranks_than_groups_are_refused_before_any_work(problem):
    with pytest.raises(
        ValueError, match=r"4 ranks cannot share the 3 rows of plate .* at most 3 devices"
    ):
        pavi.fit(*problem, devices=4, accelerator="cpu", shard="group", progress=False)


def test_a_guide_of_other_rows_is_refused(problem):
    model, data = problem
    shard = Shard.of(data, "group", rank=0, ranks=2)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities)
    with pytest.raises(ValueError, match=r"3 rows of site 'mu_g', and rank 0 of 2 owns 2; build"):
        pavi.VariationalInference(guide, shard=shard)


def test_a_guide_of_all_latents_at_once_is_refused(problem):
    model, data = problem
    shard = Shard.of(data, "group", rank=0, ranks=2)
    with pytest.raises(ValueError, match=r"needs a PlateAmortizedGuide, .* got UIVIGuide"):
        pavi.VariationalInference(UIVIGuide(model, data.cardinalities), shard=shard)


def test_a_shard_of_other_ranks_is_refused(problem):
    model, data = problem
    shard = Shard.of(data, "group", rank=1, ranks=2)
    guide = pavi.PlateAmortizedGuide(model, shard.data.cardinalities)
    with pytest.raises(ValueError, match=r"rank 1 of 2; this process is rank 0 of 1"):
        pavi.training.train(
            pavi.VariationalInference(guide, shard=shard),
            pavi.PlateDataModule(data, shard=shard),
            steps=1,
        )


def test_parts_without_a_shard_are_refused(problem):
    with pytest.raises(ValueError, match=r"assemble=False is for a fit that is split"):
        pavi.fit(*problem, assemble=False, progress=False)


def test_one_device_is_a_shard_of_its_own(problem):
    settings = {"steps": 5, "progress": False, "batch": {"group": 2}, "seed": 3}
    one = pavi.fit(*problem, **settings)
    other = pavi.fit(*problem, shard="group", **settings)
    for name, value in one.trained.state_dict().items():
        torch.testing.assert_close(other.trained.state_dict()[name], value)


def test_checkpoints_of_the_first_rank_alone_are_refused(problem):
    model, data = problem
    shard = Shard.of(data, "group", rank=0, ranks=2)
    guide = pavi.PlateAmortizedGuide(model, shard.data.cardinalities)
    module = pavi.VariationalInference(guide, shard=shard)
    module.trainer = SimpleNamespace(
        global_rank=0,
        world_size=2,
        strategy=SimpleNamespace(checkpoint_io=TorchCheckpointIO()),
        checkpoint_callbacks=["any"],
    )
    with pytest.raises(ValueError, match=r"TorchCheckpointIO would hold the rows of the first"):
        module.setup("fit")
