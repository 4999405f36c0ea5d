"""Stores on disk: what was written is what is read, and what is damaged is named."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pavi.data.stores import DamagedStoreError, MemmapStore, StoreSubset, StoreWriter, ZarrStore
from pavi.data.stores.manifest import Manifest
from pavi.data.stores.runs import runs_of
from pavi.files import DiskFullError

SHAPE = (4, 2, 11, 3)


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)


def write(folder, values, **settings):
    with StoreWriter(folder, shape=values.shape, **settings) as writer:
        for part in reversed(range(len(values))):
            if part not in writer.done:
                writer.write(part, values[part])
        writer.finish()
    return MemmapStore.open(folder)


@pytest.fixture
def store(tmp_path, values):
    return write(tmp_path / "store", values)


@pytest.fixture
def zarr_store(tmp_path, values):
    import zarr

    array = zarr.create_array(tmp_path / "a.zarr", shape=SHAPE, chunks=(1, 2, 4, 3), dtype="f2")
    array[:] = values
    return ZarrStore.open(tmp_path / "a.zarr")


CHOICES = [
    [None, np.array([2]), np.array([3, 0]), np.array([0, 1, 2, 3])],
    [None, np.array([1])],
    [None, np.array([0, 1, 2, 6, 10]), np.array([5, 4, 4]), np.arange(11), np.array([], np.int64)],
]


@pytest.mark.parametrize("kind", ["memmap", "zarr", "subset"])
@pytest.mark.parametrize("axes", [0, 1, 2, 3])
def test_rows_are_those_of_the_array(store, zarr_store, values, kind, axes):
    read = {"memmap": store, "zarr": zarr_store}.get(kind)
    if kind == "subset":
        kept = [np.array([3, 1, 2, 0]), None, np.arange(11)[::-1].copy()]
        read, values = StoreSubset(store, kept), values[np.ix_(kept[0], [0, 1], kept[2])]
    assert read.shape == values.shape
    for rows in product(*CHOICES[:axes]):
        index = [np.arange(n) if r is None else r for r, n in zip(rows, SHAPE, strict=False)]
        expected = torch.from_numpy(values[np.ix_(*index)] if index else values).float()
        assert torch.equal(read.take(rows), expected)
    assert read.take([], dtype=torch.float64).dtype == torch.float64


def test_neighbouring_rows_are_one_read():
    starts, lengths = runs_of((5, 2, 100, 8), [np.array([1, 4]), None, np.array([7, 8, 9, 40])])
    assert lengths.tolist() == [24, 8] * 4
    assert starts[:2].tolist() == [(200 + 7) * 8, (200 + 40) * 8]
    assert len(runs_of((5, 2, 100, 8), [np.array([1, 2, 3]), None])[0]) == 1


def test_the_file_is_an_ordinary_array(store, values):
    assert np.array_equal(np.load(store.folder / "values.npy", mmap_mode="r"), values)


def test_a_store_travels_to_other_processes(store, values):
    again = pickle.loads(pickle.dumps(store))
    assert torch.equal(again.take([]), torch.from_numpy(values).float())


@pytest.mark.parametrize("dtype", ["float32", "float64", "int16", "uint8", "bool"])
def test_other_types(tmp_path, dtype):
    values = np.array([[0, 1, 1], [1, 0, 0]], dtype=dtype)
    store = write(tmp_path / "store", values, dtype=dtype)
    assert store.dtype == dtype
    assert torch.equal(store.take([], dtype=torch.float64), torch.from_numpy(values).double())


@pytest.mark.parametrize("rows", [[np.array([4])], [None, np.array([-1])], [None] * 5])
def test_rows_out_of_range_are_refused(store, rows):
    with pytest.raises(ValueError, match=r"axis \d has rows 0 to|rows of 5 axes"):
        store.take(rows)


# Interruptions


def test_an_interrupted_store_goes_on_where_it_stopped(tmp_path, values):
    writer = StoreWriter(tmp_path, shape=SHAPE, every=2)
    for part in (3, 1, 0):
        writer.write(part, values[part])
    # As after kill -9: nothing is closed, and what the manifest claims is what was flushed.
    (tmp_path / ".manifest.json.0123").write_text("half")
    assert StoreWriter(tmp_path, shape=SHAPE).done == {1, 3}
    assert {file.name for file in tmp_path.iterdir()} == {"manifest.json", "values.npy"}
    with pytest.raises(ValueError, match=r"2 of 4 parts were not written, 0, 2"):
        MemmapStore.open(tmp_path)
    store = write(tmp_path, values)
    store.verify(progress=False)
    assert torch.equal(store.take([]), torch.from_numpy(values).float())


def test_the_manifest_claims_nothing_before_it_is_on_the_disk(tmp_path, values, monkeypatch):
    order, sync, replace = [], os.fsync, os.replace
    real = os.path.realpath
    monkeypatch.setattr(
        os, "fsync", lambda f: (order.append(real(f"/proc/self/fd/{f}")), sync(f))[1]
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), replace(a, b))[1])
    writer = StoreWriter(tmp_path, shape=SHAPE)
    order.clear()
    writer.write(0, values[0])
    assert not order
    writer.flush()
    names = [os.path.basename(name).split(".json.")[0] for name in order]
    assert names == ["values.npy", ".manifest", "replace", tmp_path.name]


def test_a_part_that_is_written_again_is_unclaimed_before(store, values, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    writer = StoreWriter(store.folder, shape=SHAPE)
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(
        DiskFullError, match=r"values.npy could not be written; it takes 132 bytes"
    ):
        writer.write(2, values[2])
    monkeypatch.undo()
    assert StoreWriter(store.folder, shape=SHAPE).done == {0, 1, 3}


def test_several_processes_write_parts_of_one_store(tmp_path, values):
    with StoreWriter(tmp_path, shape=values.shape, dtype="float32") as keeper:
        with StoreWriter(tmp_path, shape=values.shape, dtype="float32", manifest=False) as other:
            keeper.write(0, values[0])
            for part in (1, 2, 3):
                other.write(part, values[part])
            other.flush()
            keeper.flush()
            assert Manifest.read(tmp_path).absent == [1, 2, 3]  # nobody has claimed them
            assert sorted(other.checksums) == [1, 2, 3]
        keeper.claim(other.checksums)
        assert keeper.done == {0, 1, 2, 3}
        keeper.finish()
    store = MemmapStore.open(tmp_path)
    store.verify(progress=False)
    assert np.array_equal(store.take([]).numpy(), values)


def test_a_store_that_nobody_keeps_is_not_written_to(tmp_path, values):
    with pytest.raises(ValueError, match="is not a store: it has no manifest.json"):
        StoreWriter(tmp_path, shape=values.shape, manifest=False)
    with StoreWriter(tmp_path, shape=values.shape) as keeper:
        with pytest.raises(ValueError, match=r"has parts 0 to 3, got part 4"):
            keeper.claim({4: 0})


def test_an_error_inside_the_block_keeps_what_was_written(tmp_path, values):
    def fail():
        with StoreWriter(tmp_path, shape=SHAPE) as writer:
            writer.write(2, values[2])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert StoreWriter(tmp_path, shape=SHAPE).done == {2}


def test_finishing_too_early_is_refused(tmp_path, values):
    with StoreWriter(tmp_path, shape=SHAPE) as writer:
        writer.write(0, values[0])
        with pytest.raises(
            ValueError, match=r"3 of 4 parts were not written, the first is part 1"
        ):
            writer.finish()


# Damage


def flip(store, part):
    path = store.folder / "values.npy"
    held = bytearray(path.read_bytes())
    held[128 + part * 132 + 5] ^= 1
    path.write_bytes(held)


def test_damaged_parts_are_named_and_can_be_written_again(store, values):
    store.verify(progress=False)
    flip(store, 1)
    flip(store, 3)
    with pytest.raises(DamagedStoreError, match=r"2 of 4 parts are damaged, 1, 3:") as caught:
        store.verify(progress=False)
    with StoreWriter(store.folder, shape=SHAPE) as writer:
        for part in caught.value.parts:
            writer.write(part, values[part])
    MemmapStore.open(store.folder).verify(progress=False)


def cut(folder):
    os.truncate(folder / "values.npy", 128 + 2 * 132 + 7)


def edit(**changes):
    def apply(folder):
        held = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(held | changes))

    return apply


def without_checksums(folder):
    (folder / "manifest.json").write_text('{"format": 1, "shape": [2], "dtype": "float16"}')


DAMAGES = {
    "no folder": (shutil.rmtree, "there is no such folder"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), r"it has no manifest\.json"),
    "no values": (lambda f: (f / "values.npy").unlink(), r"it has no values\.npy"),
    "cut off": (cut, r"expected 656 bytes, got 399; parts 2 to 3 are cut off"),
    "shape": (
        edit(shape=[4, 2, 3, 11]),
        r"\(4, 2, 3, 11\) of float16, got that of an array \(4, 2, 11",
    ),
    "type": (edit(dtype="float32"), r"of float32, got that of an array .* of float16"),
    "no type": (edit(dtype="complex64"), r"damaged: dtype must be one of .*'float16'"),
    "no shape": (edit(shape=[0]), r"damaged: the shape of a store"),
    "checksums": (edit(checksums=[1]), r"it has 1 checksums for 4 parts"),
    "format": (edit(format=2), r"is a store of format 2; this version reads 1"),
    "keys": (without_checksums, r"it lacks \['checksums'\]"),
    "no JSON": (lambda f: (f / "manifest.json").write_text("{"), r"manifest\.json cannot be read"),
    "no array": (lambda f: (f / "values.npy").write_bytes(b"x" * 656), "no header of an array"),
}


@pytest.mark.parametrize(("damage", "message"), DAMAGES.values(), ids=DAMAGES)
def test_a_store_that_is_not_what_it_says_is_refused(store, damage, message):
    damage(store.folder)
    with pytest.raises(ValueError, match=message) as caught:
        MemmapStore.open(store.folder)
    # Which one, and what to do.
    assert str(store.folder) in str(caught.value)
    assert "`python -m pavi.data.convert SOURCE... OUT`" in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (cut, {2, 3}),
        (lambda f: os.truncate(f / "values.npy", 60), {0, 1, 2, 3}),  # in the header
        (lambda f: (f / "values.npy").unlink(), {0, 1, 2, 3}),
    ],
)
def test_parts_that_are_lost_are_written_again_where_the_store_is_made(
    store, values, damage, lost
):
    damage(store.folder)
    with pytest.raises(DamagedStoreError, match="it goes on from what is there") as caught:
        MemmapStore.open(store.folder)
    assert set(caught.value.parts) == lost
    with StoreWriter(store.folder, shape=SHAPE) as writer:
        assert set(range(4)) - writer.done == lost
        # Before anything is written: a reader would take what is there for whole.
        assert set(Manifest.read(store.folder).absent) == lost
        for part in lost:
            writer.write(part, values[part])
        writer.finish()
    again = MemmapStore.open(store.folder)
    again.verify(progress=False)
    assert torch.equal(again.take([]), torch.from_numpy(values).float())


def test_what_the_disk_does_not_give_back_is_told_in_words(store, monkeypatch):
    def fail(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(
        ValueError, match=r"values\.npy cannot be read: Permission denied\. See to"
    ):
        MemmapStore.open(store.folder)


def test_a_file_cut_off_under_an_open_store_is_told(store):
    cut(store.folder)
    with pytest.raises(DamagedStoreError, match=r"part 2 cannot be read: the file ends"):
        store.take([np.array([2])])


# Bad input


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (4, {}, r"has parts 0 to 3, got part 4"),
        (0, {"shape": (2, 11)}, r"part 0: expected values of shape \(2, 11, 3\), got \(2, 11\)"),
        (0, {"value": np.nan}, r"part 0: 66 of 66 values are NaN or infinite"),
        (0, {"value": 1e5}, r"float16 does not hold its values, which go from 100000\.0"),
        (0, {"value": 2049}, r"float16 does not hold its values.*\(int64\)"),
        (0, {"value": "a"}, r"expected numbers, got <U1"),
    ],
)
def test_values_that_do_not_fit_are_refused(tmp_path, part, change, message):
    with (
        StoreWriter(tmp_path, shape=SHAPE) as writer,
        pytest.raises(ValueError, match=message),
    ):
        writer.write(part, np.full(change.get("shape", SHAPE[1:]), change.get("value", 0)))
    assert not writer.done


def test_numbers_that_are_not_whole_do_not_become_integers(tmp_path):
    with (
        StoreWriter(tmp_path, shape=(1, 2), dtype="int32") as writer,
        pytest.raises(ValueError, match="int32 does not hold its values"),
    ):
        writer.write(0, np.array([0.5, 1.0]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": (4, 2, 11, 4)}, r"holds a store \(4, 2, 11, 3\) of float16, and one of \(4, 2"),
        ({"dtype": "float32"}, r"of float16, and one of .* of float32 was to be written"),
        ({"shape": (0, 2)}, r"all of them positive, got \(0, 2\)"),
        ({"dtype": "text"}, r"dtype must be one of .* got 'text'"),
        ({"every": 0}, r"every must be positive"),
    ],
)
def test_a_store_of_another_kind_is_not_gone_on_with(store, settings, message):
    with pytest.raises(ValueError, match=message):
        StoreWriter(store.folder, **{"shape": SHAPE, **settings})
    store.verify(progress=False)


def test_an_array_of_somebody_else_is_not_overwritten(tmp_path):
    np.save(tmp_path / "values.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"holds a values\.npy that is no store's"):
        StoreWriter(tmp_path, shape=SHAPE)


def test_too_little_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
    with pytest.raises(ValueError, match=r"needs 15\.2 GB, 1 GB free at"):
        StoreWriter(tmp_path / "store", shape=(1000, 2, 59412, 64))
    assert not list((tmp_path / "store").iterdir())


def test_what_lies_on_the_disk_already_needs_no_room(store, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    StoreWriter(store.folder, shape=SHAPE)


@pytest.mark.parametrize("folder", ["/proc/store", "file/store"])
def test_a_place_that_cannot_be_written_is_told(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=f"{folder} cannot be .*; choose another folder"):
        StoreWriter(folder, shape=SHAPE)


def test_a_read_only_folder_is_told(store, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="read-only for this user; choose another folder, or"):
        StoreWriter(store.folder, shape=SHAPE)


def test_what_is_no_zarr_array_is_refused(tmp_path):
    import zarr

    zarr.create_group(tmp_path / "group.zarr")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "none": "there is no such folder",
        "empty": "is not a zarr array",
        "group.zarr": "name the array within it",
    }.items():
        with pytest.raises(ValueError, match=message):
            ZarrStore.open(tmp_path / name)
