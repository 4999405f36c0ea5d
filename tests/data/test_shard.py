"""The slice of the data that a rank owns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing

from pavi.data import PlateBatches, PlateData, PlateDataModule, Shard
from pavi.data.shard import strata_edges
from pavi.data.stores import MemmapStore, StoreWriter

SIZES = {
    ragged_nest: {"lea": 4, "school": 20, "pupil": 90},
    dense_crossing: {"subject": 5, "session": 2, "vertex": 3},
    sparse_crossing: {"student": 6, "lecturer": 4, "rating": 50},
}
PLATES = [(ragged_nest, "lea"), (dense_crossing, "subject"), (sparse_crossing, "student")]


def data_of(design):
    drawn = design().simulate(SIZES[design], seed=0)
    labels = {
        plate: [f"{plate} {row}" for row in range(size)] for plate, size in SIZES[design].items()
    }
    return PlateData.from_arrays(drawn.arrays, design(), links=drawn.links, labels=labels)


def shards(data, plate, ranks):
    return [Shard.of(data, plate, rank=rank, ranks=ranks) for rank in range(ranks)]


@pytest.mark.parametrize(("rows", "ranks"), [(5, 1), (5, 2), (5, 5), (9, 4)])
def test_strata_differ_by_at_most_one_row(rows, ranks):
    sizes = np.diff(strata_edges(rows, ranks))
    assert sizes.sum() == rows
    assert len(sizes) == ranks
    assert sizes.max() - sizes.min() <= 1


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize(("design", "plate"), PLATES)
def test_every_row_has_one_owner(design, plate, ranks):
    data = data_of(design)
    parts = shards(data, plate, ranks)
    for split in parts[0].rows:
        together = np.concatenate([part.rows[split] for part in parts])
        assert sorted(together) == list(range(data.cardinalities[split]))
        assert [len(part.rows[split]) for part in parts] == list(parts[0].strata[split])
    for other in set(data.cardinalities) - set(parts[0].rows):
        assert all(part.data.cardinalities[other] == data.cardinalities[other] for part in parts)


@pytest.mark.parametrize(("design", "plate"), PLATES)
def test_the_order_over_ranks_does_not_depend_on_their_number(design, plate):
    data = data_of(design)
    orders = [
        {
            p: np.concatenate([part.rows[p] for part in shards(data, plate, ranks)])
            for p in SIZES[design]
            if p in shards(data, plate, 1)[0].rows
        }
        for ranks in (1, 2, 4)
    ]
    for order in orders[1:]:
        for split, rows in order.items():
            assert np.array_equal(rows, orders[0][split])


@pytest.mark.parametrize(("design", "plate"), PLATES)
def test_values_labels_and_links_are_those_of_the_rows(design, plate):
    data = data_of(design)
    for part in shards(data, plate, 3):
        for split, rows in part.rows.items():
            assert part.data.labels[split] == [data.labels[split][row] for row in rows]
            for parent in data.links.get(split, {}):
                assert [
                    part.data.labels[parent][row] for row in part.data.links[split][parent]
                ] == [data.labels[parent][row] for row in data.links[split][parent][rows]]
        for site, value in part.data.values.items():
            whole = data.values[site]
            for axis, name in enumerate(data.model.sites[site].plates):
                if name in part.rows:
                    whole = whole.index_select(axis, torch.as_tensor(part.rows[name]))
            assert torch.equal(value, whole)


def test_the_slice_of_a_dense_plate_shares_memory():
    data = data_of(dense_crossing)
    part = shards(data, "subject", 2)[1].data
    assert (
        part.values["y"].untyped_storage().data_ptr()
        == data.values["y"].untyped_storage().data_ptr()
    )


def test_one_rank_has_the_batches_of_no_shard():
    data = data_of(ragged_nest)
    settings = {"batch": {"lea": 2, "school": 3}, "seed": 4}
    one = PlateBatches(data, shard=Shard.of(data, "lea", rank=0, ranks=1), **settings)[3]
    other = PlateBatches(data, **settings)[3]
    assert one.seed == other.seed
    names = [data.labels["school"][row] for row in other.rows["school"]]
    sharded = shards(data, "lea", 1)[0].data
    assert torch.equal(one.rows["lea"], other.rows["lea"])
    # A shard has its schools in the order of their authorities.
    assert torch.equal(*(batch.weights["school"].sort().values for batch in (one, other)))
    assert len(names) == len(one.rows["school"])
    assert {sharded.labels["lea"][row] for row in one.rows["lea"]} == {
        data.labels["lea"][row] for row in other.rows["lea"]
    }


@pytest.mark.parametrize(
    ("design", "plate", "ranks", "message"),
    [
        (
            ragged_nest,
            "lea",
            5,
            r"5 ranks cannot share the 4 rows of plate 'lea', .* at most 4 devices .*leave out shard",
        ),
        (ragged_nest, "class", 2, r"shard='class' is not a plate; plates are \['lea'"),
        (ragged_nest, "school", 2, r"shard='school' lies within \['lea'\].* use 'lea'"),
        (sparse_crossing, "rating", 2, r"use 'student' or 'lecturer'"),
        (dense_crossing, "subject", 0, r"the number of ranks must be positive, got 0"),
    ],
)
def test_what_cannot_be_sharded_is_told(design, plate, ranks, message):
    with pytest.raises(ValueError, match=message):
        Shard.of(data_of(design), plate, rank=0, ranks=ranks)


def test_a_batch_larger_than_the_smallest_rank_is_refused_on_every_rank():
    data = data_of(dense_crossing)
    for shard in shards(data, "subject", 2):
        with pytest.raises(
            ValueError, match=r"each of 2 ranks draws 3 .* the smallest rank has 2"
        ):
            PlateDataModule(data, batch={"subject": 3}, shard=shard)


def test_what_lies_in_a_store_stays_there_and_is_read_by_its_owner(tmp_path):
    values = np.random.default_rng(0).standard_normal((5, 2, 11, 2)).astype(np.float32)
    with StoreWriter(tmp_path / "y", shape=values.shape) as writer:
        for part, value in enumerate(values):
            writer.write(part, value)
        writer.finish()
    model = dense_crossing()
    stored = PlateData.from_arrays({"y": MemmapStore.open(tmp_path / "y")}, model)
    held = PlateData.from_arrays({"y": values.astype(np.float16)}, model)
    settings = {"batch": {"subject": 1, "vertex": 4}, "blocks": {"vertex": 2}, "seed": 3}
    for rank in range(2):
        one, other = (Shard.of(data, "subject", rank=rank, ranks=2) for data in (stored, held))
        assert not one.data.values
        ours = PlateBatches(stored, rank=rank, shard=one, **settings)[5]
        theirs = PlateBatches(held, rank=rank, shard=other, **settings)[5]
        assert torch.equal(ours.values["y"], theirs.values["y"])
        assert torch.equal(ours.weights["subject"], theirs.weights["subject"])
