"""Files of every kind become the same store, whatever happens on the way."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import h5py
import nibabel
import numpy as np
import pytest
import torch
import zarr
from nibabel.cifti2 import BrainModelAxis, ScalarAxis, SeriesAxis

from pavi.data.convert import convert
from pavi.data.convert.__main__ import main
from pavi.data.stores import MemmapStore, StoreWriter

SHAPE = (3, 7, 5)
QUIET = {"progress": False}


@pytest.fixture
def values():
    return np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)


def cortex_and_more():
    """Grayordinates of both cortices and of three voxels of another structure."""
    left = BrainModelAxis.from_surface([0, 2, 3], 4, name="CortexLeft")
    right = BrainModelAxis.from_surface([1], 4, name="CortexRight")
    mask = np.zeros((2, 2, 2), bool)
    mask[0, 0] = mask[1, 1, 1] = True
    deep = BrainModelAxis.from_mask(mask, affine=np.eye(4), name="thalamus_left")
    return left + right + deep


def dense_series(path, values, *, rows=None, axis=None):
    series = axis or SeriesAxis(0, 0.72, values.shape[1])
    image = nibabel.Cifti2Image(values.T, header=(series, rows or cortex_and_more()))
    nibabel.save(image, path)
    return path


def one_npy(folder, values):
    np.save(folder / "all.npy", values)
    return [folder / "all.npy"]


def several_npy(folder, values):
    for number, row in enumerate(values):
        np.save(folder / f"{number}.npy", row)
    return [folder / f"{number}.npy" for number in range(len(values))]


def one_zarr(folder, values):
    group = zarr.create_group(folder / "group.zarr")
    group.create_array("x", data=values, chunks=(1, 4, 5))
    return [folder / "group.zarr" / "x"]


def several_zarr(folder, values):
    for number, row in enumerate(values):
        zarr.create_array(folder / f"{number}.zarr", data=row)
    return [folder / f"{number}.zarr" for number in range(len(values))]


def one_hdf5(folder, values):
    with h5py.File(folder / "all.h5", "w") as file:
        file["deep/x"] = values
    return [folder / "all.h5"]


def several_hdf5(folder, values):
    for number, row in enumerate(values):
        with h5py.File(folder / f"{number}.hdf5", "w") as file:
            file["x"], file["y"] = row, np.zeros(3)
    return [f"{folder / f'{number}.hdf5'}:x" for number in range(len(values))]


def dense(folder, values):
    return [dense_series(folder / f"{n}.dtseries.nii", row) for n, row in enumerate(values)]


KINDS = [one_npy, several_npy, one_zarr, several_zarr, one_hdf5, several_hdf5, dense]


@pytest.mark.parametrize("write", KINDS, ids=lambda write: write.__name__)
def test_every_kind_becomes_the_same_store(tmp_path, values, write):
    store = convert(write(tmp_path, values), tmp_path / "out", dtype="float32", **QUIET)
    assert torch.equal(store.take([]), torch.from_numpy(values))
    store.verify(progress=False)


def test_one_dense_series_is_one_row(tmp_path, values):
    store = convert(dense(tmp_path, values[:1]), tmp_path / "out", dtype="float32", **QUIET)
    assert torch.equal(store.take([]), torch.from_numpy(values[:1]))


def test_cortices_may_be_taken_alone(tmp_path, values):
    store = convert(
        dense(tmp_path, values), tmp_path / "out", dtype="float32", cortex=True, **QUIET
    )
    assert torch.equal(store.take([]), torch.from_numpy(values[:, :4]))


def test_sources_may_be_sessions(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 3, 2)).astype(np.float32)
    store = convert(
        several_npy(tmp_path, values), tmp_path / "out", sessions=2, dtype="float32", **QUIET
    )
    assert torch.equal(store.take([]), torch.from_numpy(values.reshape(2, 2, 3, 2)))


@pytest.mark.parametrize("axis", [1, -2])
def test_an_axis_is_permuted_once(tmp_path, values, axis):
    settings = {"permute_axis": axis, "seed": 3, "dtype": "float32"}
    store = convert(one_npy(tmp_path, values), tmp_path / "out", **settings, **QUIET)
    order = np.load(tmp_path / "out" / "order.npy")
    assert sorted(order) == list(range(7))
    assert list(order) != list(range(7))
    assert torch.equal(store.take([]), torch.from_numpy(values[:, order]))


def test_series_may_be_standardised(tmp_path, values):
    raw = 1e4 + 3 * values
    raw[0, 2] = 5.0
    store = convert(one_npy(tmp_path, raw), tmp_path / "out", standardise=True, **QUIET)
    found = store.take([]).double()
    assert (found[0, 2] == 0).all()
    expected = (raw - raw.mean(-1, keepdims=True)) / np.maximum(raw.std(-1, keepdims=True), 1e-3)
    torch.testing.assert_close(found, torch.tensor(expected).double(), atol=5e-3, rtol=0)


# Interruptions and damage


def interrupted_after(parts):
    """A `StoreWriter.write` that Ctrl-C ends once some parts are written."""
    write = StoreWriter.write

    def interrupted(self, part, row):
        if len(self.done) == parts:
            raise KeyboardInterrupt
        write(self, part, row)

    return interrupted


def test_an_interrupted_conversion_goes_on(tmp_path, values, monkeypatch):
    sources, written = several_npy(tmp_path, values), []
    write = StoreWriter.write
    with monkeypatch.context() as patched:
        patched.setattr(StoreWriter, "write", interrupted_after(2))
        with pytest.raises(KeyboardInterrupt):
            convert(sources, tmp_path / "out", permute_axis=1, **QUIET)
    monkeypatch.setattr(
        StoreWriter,
        "write",
        lambda self, part, row: (written.append(part), write(self, part, row)),
    )
    store = convert(sources, tmp_path / "out", permute_axis=1, **QUIET)
    assert written == [2]
    whole = convert(sources, tmp_path / "again", permute_axis=1, **QUIET)
    assert torch.equal(store.take([]), whole.take([]))


def other_values(folder, values):
    """Of the same size; the times are those of now."""
    np.save(folder / "1.npy", values[1] + 1)


def other_times(folder, values):
    found = (folder / "1.npy").stat()
    os.utime(folder / "1.npy", ns=(found.st_atime_ns, found.st_mtime_ns + 1000))


def other_size(folder, values):
    np.save(folder / "1.npy", values[1].astype(np.float64))


def other_chunk(folder, values):
    zarr.open_array(folder / "group.zarr" / "x", mode="r+")[1] = values[2]


def chunks_changed_places(folder, values):
    """Two files take each other's name: all sizes and times are there as before."""
    one, two = (folder / "group.zarr" / "x" / "c" / n / "0" / "0" for n in "12")
    kept = [path.stat() for path in (one, two)]
    contents = [path.read_bytes() for path in (one, two)]
    for path, content, times in zip((two, one), contents, kept, strict=True):
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize(
    ("write", "change", "message"),
    [
        (
            several_npy,
            other_values,
            r"1\.npy is not what .*out was begun from: it was modified at",
        ),
        (several_npy, other_times, r"modified at \d{4}-.*\.\d{6}\+00:00, and \d{4}-"),
        (
            several_npy,
            other_size,
            r"it had 268 bytes and has 408\. .* remove that folder and conv",
        ),
        (one_zarr, other_chunk, r"group\.zarr/x is not what .*out was begun from: it "),
        (one_zarr, chunks_changed_places, "x is not what .*: its files have other names, sizes"),
    ],
)
def test_sources_that_were_changed_meanwhile_are_not_mixed(
    tmp_path, values, monkeypatch, write, change, message
):
    sources = write(tmp_path, values)
    with monkeypatch.context() as patched:
        patched.setattr(StoreWriter, "write", interrupted_after(1))
        with pytest.raises(KeyboardInterrupt):
            convert(sources, tmp_path / "out", **QUIET)
    change(tmp_path, values)
    with pytest.raises(ValueError, match=message):
        convert(sources, tmp_path / "out", **QUIET)


def test_damaged_parts_are_written_again(tmp_path, values):
    sources = several_npy(tmp_path, values)
    whole = convert(sources, tmp_path / "out", **QUIET).take([])
    path = tmp_path / "out" / "values.npy"
    held = bytearray(path.read_bytes())
    held[-3] ^= 4
    path.write_bytes(held)
    assert not torch.equal(convert(sources, tmp_path / "out", **QUIET).take([]), whole)
    with pytest.raises(ValueError, match="1 of 3 parts are damaged, 2:"):
        MemmapStore.open(tmp_path / "out").verify(progress=False)
    store = convert(sources, tmp_path / "out", repair=True, **QUIET)
    assert torch.equal(store.take([]), whole)


def test_what_a_store_lost_is_converted_again_by_the_same_command(tmp_path, values, capsys):
    command = [*map(str, several_npy(tmp_path, values)), str(tmp_path / "out")]
    assert main(command) == 0
    whole = MemmapStore.open(tmp_path / "out").take([])
    file = tmp_path / "out" / "values.npy"
    for harm in (lambda: os.truncate(file, file.stat().st_size - 1), file.unlink):
        harm()
        with pytest.raises(ValueError, match="it goes on from what is there"):
            MemmapStore.open(tmp_path / "out")
        assert main(command) == 0
        assert torch.equal(MemmapStore.open(tmp_path / "out").take([]), whole)


def test_a_full_disk_is_told_as_that_of_the_store(tmp_path, values, capsys, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    sources = [str(source) for source in several_npy(tmp_path, values)]
    monkeypatch.setattr(os, "pwrite", fail)
    assert main([*sources, str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: the disk is full: {tmp_path / 'out' / 'values.npy'} could not")


# Bad input


def text(folder, values):
    (folder / "a.txt").write_text("1 2")
    return [folder / "a.txt"]


def broken(name):
    def write(folder, values):
        (folder / name).write_bytes(b"no such format" * 100)
        return [folder / name]

    return write


def cut(write, name):
    """A file that ends before its values do, which its header does not show."""

    def damaged(folder, values):
        sources = write(folder, values)
        held = (folder / name).read_bytes()
        (folder / name).write_bytes(held[: len(held) - 40])
        return sources

    return damaged


def volume(folder, values):
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 2, 2, 3)), np.eye(4)), folder / "bold.nii.gz")
    return [folder / "bold.nii.gz"]


def other_grid(folder, values):
    sources = dense(folder, values)
    rows = BrainModelAxis.from_surface(range(7), 9, name="CortexLeft")
    dense_series(sources[1], values[1], rows=rows)
    return sources


def connectivity(folder, values):
    path = folder / "conn.dconn.nii"
    rows = cortex_and_more()
    nibabel.save(
        nibabel.Cifti2Image(np.zeros((2, 7)), header=(ScalarAxis(["a", "b"]), rows)), path
    )
    image = nibabel.Cifti2Image(np.zeros((7, 2)), header=(rows, ScalarAxis(["a", "b"])))
    nibabel.save(image, path)
    return [path]


def other_shape(folder, values):
    sources = several_npy(folder, values)
    np.save(sources[2], values[2, :6])
    return sources


def with_nan(folder, values):
    values[1, 2, 3] = np.nan
    return several_npy(folder, values)


def too_large(folder, values):
    return one_npy(folder, 1e6 * values)


def texts(folder, values):
    np.save(folder / "a.npy", np.array(["a"]))
    return [folder / "a.npy"]


def two_sets(folder, values):
    return [several_hdf5(folder, values)[0].removesuffix(":x")]


MISTAKES = {
    "nothing there": (lambda folder, values: [folder / "a.npy"], {}, r"a\.npy: there is no such file"),
    "text": (text, {}, r"a\.txt is of no kind that can be converted; these are an array\.npy"),
    "no npy": (broken("a.npy"), {}, r"a\.npy cannot be read: "),
    "no HDF5": (broken("a.h5"), {}, r"a\.h5 cannot be read: .*signature not found"),
    "no NIfTI": (broken("a.dtseries.nii"), {}, r"a\.dtseries\.nii cannot be read: "),
    "no zarr": (lambda folder, values: [folder], {}, r"is not a zarr array"),
    "zarr group": (
        lambda folder, values: [one_zarr(folder, values)[0].parent], {}, "name the array within it"
    ),
    "cut npy": (cut(one_npy, "all.npy"), {}, r"all\.npy cannot be read: "),
    "cut HDF5": (cut(one_hdf5, "all.h5"), {}, r"all\.h5 cannot be read: .*truncated"),
    "cut CIFTI": (cut(dense, "2.dtseries.nii"), {}, r"2\.dtseries\.nii: Expected \d+ bytes"),
    "which dataset": (two_sets, {}, r"0\.hdf5 holds the datasets \['x', 'y'\]; say which one"),
    "no dataset": (
        lambda f, v: [f"{one_hdf5(f, v)[0]}:x"], {}, r"no dataset 'x'; it holds \['deep/x'\]"
    ),
    "volume": (volume, {}, r"bold\.nii\.gz is a volume of shape \(2, 2, 2, 3\) and no CIFTI"),
    "connectivity": (connectivity, {}, r"no dense series: .* got \['BrainModelAxis', 'ScalarAxis'"),
    "grayordinates": (other_grid, {}, r"1\.dtseries\.nii has other grayordinates than .*0\.dts"),
    "shape": (other_shape, {}, r"2\.npy has the shape \(6, 5\), but .*0\.npy \(7, 5\)"),
    "NaN": (with_nan, {}, r"1\.npy: .*out, part 1: 1 of 35 values are NaN or infinite"),
    "range": (too_large, {}, r"all\.npy, row 0: .*float16 does not hold its values"),
    "texts": (texts, {}, r"a\.npy, row 0: .*expected numbers, got <U1"),
    "sessions": (several_npy, {"sessions": 2}, r"divides the 3 sources, got 2"),
    "first axis": (one_npy, {"permute_axis": 0}, r"1 to 2 of the shape \(3, 7, 5\), got 0"),
    "no axis": (one_npy, {"permute_axis": 3}, r"1 to 2 of the shape \(3, 7, 5\), got 3"),
    "no sources": (lambda folder, values: [], {}, "no sources are given"),
    "type": (one_npy, {"dtype": "float8"}, r"dtype must be one of .* got 'float8'"),
}  # fmt: skip


@pytest.mark.parametrize(("write", "settings", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_told(tmp_path, values, write, settings, message):
    sources = write(tmp_path, values)
    with pytest.raises(ValueError, match=message):
        convert(sources, tmp_path / "out", **settings, **QUIET)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"permute_axis": 1}, r"was begun with other permute_axis: None, now 1"),
        ({"standardise": True}, r"other standardise: False, now True"),
        ({"sources": 2}, r"was begun with other sources"),
        ({"dtype": "float32"}, r"of float16, and one of .* of float32 was to be written"),
    ],
)
def test_another_conversion_is_not_mixed_in(tmp_path, values, change, message):
    sources = several_npy(tmp_path, values)
    convert(sources, tmp_path / "out", **QUIET)
    with pytest.raises(ValueError, match=message):
        convert(sources[: change.pop("sources", 3)], tmp_path / "out", **change, **QUIET)


def test_a_store_of_another_origin_is_left_alone(tmp_path, values):
    sources = several_npy(tmp_path, values)
    StoreWriter(tmp_path / "out", shape=SHAPE)
    with pytest.raises(
        ValueError, match=r"not made by a conversion, for it has no conversion\.json"
    ):
        convert(sources, tmp_path / "out", **QUIET)
    (tmp_path / "out" / "conversion.json").write_text("[1")
    with pytest.raises(ValueError, match=r"conversion\.json is damaged"):
        convert(sources, tmp_path / "out", **QUIET)


def test_a_folder_that_cannot_be_written_is_told(tmp_path, values):
    with pytest.raises(ValueError, match=r"/proc/out cannot be written to.*; choose another"):
        convert(one_npy(tmp_path, values), "/proc/out", **QUIET)


@pytest.mark.parametrize("package", ["h5py", "nibabel", "zarr"])
def test_a_library_that_is_not_there_is_named(tmp_path, values, monkeypatch, package):
    write = {"h5py": one_hdf5, "nibabel": dense, "zarr": one_zarr}[package]
    sources = write(tmp_path, values)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs {package}: pip install 'pavi-torch\["):
        convert(sources, tmp_path / "out", **QUIET)


# The command


def test_the_command(tmp_path, values, capsys):
    sources = [str(path) for path in several_npy(tmp_path, values)]
    out = str(tmp_path / "out")
    assert main([*sources, out, "--permute-axis", "1", "--seed", "4", "--dtype", "float32"]) == 0
    assert f"{out}: 3 x 7 x 5 of float32" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "conversion.json").read_text())["seed"] == 4
    assert main([*sources, out, "--repair"]) == 2
    assert "error: " in capsys.readouterr().err


def test_the_command_runs_as_a_module(tmp_path, values):
    command = [sys.executable, "-m", "pavi.data.convert", *map(str, one_npy(tmp_path, values))]
    subprocess.run([*command, str(tmp_path / "out")], check=True, capture_output=True)
    assert MemmapStore.open(tmp_path / "out").shape == SHAPE
