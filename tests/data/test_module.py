"""The stream of plate-batches: what each one is a function of."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from core.designs import ragged_nest

from pavi.data import PlateBatches, PlateData, PlateDataModule

SIZES = {"school": 5, "pupil": 2}


@pytest.fixture(scope="module")
def data():
    drawn = ragged_nest().simulate({"lea": 4, "school": 20, "pupil": 90}, seed=0)
    return PlateData.from_arrays(drawn.arrays, ragged_nest(), links=drawn.links)


def stream(data, **position):
    return PlateBatches(data, batch=SIZES, **{"seed": 1, **position})


def same(one, other):
    return one.seed == other.seed and all(
        torch.equal(one.rows[plate], other.rows[plate]) for plate in SIZES
    )


def test_a_batch_is_a_function_of_seed_step_and_rank(data):
    assert same(stream(data)[7], stream(data)[7])
    assert same(next(iter(stream(data, start=7, rank=3))), stream(data, rank=3)[7])


@pytest.mark.parametrize("other", [{"seed": 2}, {"rank": 1}, {"start": 1}])
def test_seeds_steps_and_ranks_differ_in_rows_and_noise(data, other):
    one, two = next(iter(stream(data))), next(iter(stream(data, **other)))
    assert one.seed != two.seed
    assert not torch.equal(one.rows["school"], two.rows["school"])


def module_at(data, *, step, rank=0, accumulate=1, **settings):
    module = PlateDataModule(data, **settings)
    module.trainer = SimpleNamespace(
        global_step=step, global_rank=rank, accumulate_grad_batches=accumulate
    )
    return module


def test_a_resumed_stream_goes_on_where_it_stopped(data):
    settings = {"batch": SIZES, "seed": 1}
    undisturbed = islice(module_at(data, step=0, rank=1, **settings).train_dataloader(), 6, 9)
    resumed = module_at(data, step=3, rank=1, accumulate=2, **settings).train_dataloader()
    assert all(same(one, two) for one, two in zip(undisturbed, resumed, strict=False))


def test_everything_by_default(data):
    batch = next(iter(module_at(data, step=0).train_dataloader()))
    assert {plate: len(rows) for plate, rows in batch.rows.items()} == data.cardinalities
    assert all((weight == 1).all() for weight in batch.weights.values())


def test_a_wrong_batch_is_refused_when_the_module_is_built(data):
    with pytest.raises(ValueError, match=r"plate 'school' must be between 1 and its 20 rows"):
        PlateDataModule(data, batch={"school": 21})
