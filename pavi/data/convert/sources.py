"""The files that a store can be made from, each opened as an array that is read when asked for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np

KINDS = "an array.npy, a zarr folder, file.h5 or file.h5:dataset, or series.dtseries.nii"
EXTRA = "pip install 'pavi-torch[{}]'"


@final
@dataclass(frozen=True)
class State:
    """What tells a file, or all files of a folder, from what they were before.

    Args:
        size: In bytes, of all files together.
        modified: When one of them was last modified, in ns since 1970.
        files: A SHA-256 of their names in the folder, sizes and times; empty for a single file.
    """

    size: int
    modified: int
    files: str = ""

    @classmethod
    def of(cls, path: Path) -> State:
        """The state of a file or a folder as it is now."""
        if not path.is_dir():
            found = path.stat()
            return cls(found.st_size, found.st_mtime_ns)
        held = sorted(file for file in path.rglob("*") if file.is_file())
        stats = [file.stat() for file in held]
        digest = hashlib.sha256()
        for file, found in zip(held, stats, strict=True):
            name = file.relative_to(path).as_posix()
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
        return cls(
            sum(found.st_size for found in stats),
            max((found.st_mtime_ns for found in stats), default=0),
            digest.hexdigest(),
        )


@final
@dataclass(frozen=True)
class Source:
    """An array in a file, of which nothing but its shape has been read.

    Args:
        name: Of the file, with what leads to the array in it.
        state: Of the file, to know it again; its values are not read for that.
        shape: Of the array.
        read: Reads all of it, or one row of its first axis.
        one: Whether this is always a row of the store and never a stack of rows.
        grid: What tells the places that its values are of, where the file says so.
    """

    name: str
    state: State
    shape: tuple[int, ...]
    read: Callable[[int | None], np.ndarray]
    one: bool = False
    grid: str = ""


def open_source(path: Path | str, *, cortex: bool = False) -> Source:
    """Open a file by its name.

    Args:
        path: Of the file; in HDF5 with the name of the dataset, `file.h5:group/dataset`.
        cortex: Whether to take only the two cortices of a dense series.

    Raises:
        ImportError: If the library for this kind of file is not there.
        ValueError: If there is no such file, it is of another kind, or it cannot be read.
    """
    text = str(path)
    hdf5 = re.fullmatch(r"(?P<file>.+\.(?:h5|hdf5))(?::(?P<dataset>.+))?", text)
    file = Path(hdf5["file"] if hdf5 else text)
    if not file.exists():
        raise ValueError(f"{file}: there is no such file.")
    try:
        if hdf5:
            return _hdf5(file, hdf5["dataset"])
        if file.suffix == ".npy":
            return _npy(file)
        if text.endswith((".nii", ".nii.gz")):
            return _dense_series(file, cortex=cortex)
        if file.is_dir():
            return _zarr(file)
    except (OSError, EOFError) as error:
        raise ValueError(f"{text} cannot be read: {error}.") from error
    raise ValueError(f"{text} is of no kind that can be converted; these are {KINDS}.")


def _npy(file: Path) -> Source:
    try:
        array = np.load(file, mmap_mode="r")
    except ValueError as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error

    def read(row: int | None) -> np.ndarray:
        return np.asarray(np.load(file, mmap_mode="r")[... if row is None else row])

    return Source(str(file), State.of(file), array.shape, read)


def _zarr(folder: Path) -> Source:
    try:
        import zarr
    except ImportError:
        raise ImportError(f"{folder}: reading zarr needs zarr: {EXTRA.format('zarr')}") from None
    try:
        array: Any = zarr.open_array(folder, mode="r")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder} is not a zarr array: {error}. Of a group, name the array within it."
        ) from error

    def read(row: int | None) -> np.ndarray:
        return np.asarray(array[... if row is None else row])

    return Source(str(folder), State.of(folder), array.shape, read)


def _hdf5(file: Path, dataset: str | None) -> Source:
    try:
        import h5py
    except ImportError:
        raise ImportError(f"{file}: reading HDF5 needs h5py: {EXTRA.format('convert')}") from None
    with h5py.File(file, "r") as opened:
        names: list[str] = []
        opened.visititems(
            lambda name, held: names.append(name) if isinstance(held, h5py.Dataset) else None
        )
        if dataset is None and len(names) != 1:
            raise ValueError(
                f"{file} holds the datasets {names}; say which one, as {file}:"
                f"{names[0] if names else 'name'}."
            )
        wanted = names[0] if dataset is None else dataset.strip("/")
        if wanted not in names:
            raise ValueError(f"{file} has no dataset {wanted!r}; it holds {names}.")
        shape = tuple(opened[wanted].shape)

    def read(row: int | None) -> np.ndarray:
        with h5py.File(file, "r") as opened:
            return np.asarray(opened[wanted][() if row is None else row])

    return Source(f"{file}:{wanted}", State.of(file), shape, read)


def _dense_series(file: Path, *, cortex: bool) -> Source:
    """A CIFTI file as `(vertex, time)`."""
    try:
        import nibabel
        from nibabel.cifti2.cifti2_axes import BrainModelAxis
        from nibabel.filebasedimages import ImageFileError
    except ImportError:
        raise ImportError(
            f"{file}: reading NIfTI needs nibabel: {EXTRA.format('convert')}"
        ) from None
    try:
        image: Any = nibabel.load(file)
    except ImageFileError as error:
        raise ValueError(f"{file} cannot be read: {error}.") from error
    if not isinstance(image, nibabel.Cifti2Image):
        raise ValueError(
            f"{file} is a volume of shape {image.shape} and no CIFTI dense series; sample it to "
            "grayordinates first (.dtseries.nii)."
        )
    header: Any = image.header
    axes: list[Any] = [header.get_axis(axis) for axis in range(image.ndim)]
    models = axes[-1]
    if len(axes) != 2 or not isinstance(models, BrainModelAxis):
        raise ValueError(
            f"{file} is no dense series: expected the axes of a series and of brain models, "
            f"got {[type(axis).__name__ for axis in axes]}."
        )
    kept = np.arange(len(models))
    if cortex:
        kept = kept[
            np.isin(models.name, [f"CIFTI_STRUCTURE_CORTEX_{s}" for s in ("LEFT", "RIGHT")])
        ]
        if not len(kept):
            raise ValueError(
                f"{file} has no cortex; its structures are {sorted(set(models.name.tolist()))}."
            )
    places = (models.name, models.vertex, models.voxel)
    grid = hashlib.sha256(b"".join(np.ascontiguousarray(p[kept]).tobytes() for p in places))

    def read(row: int | None) -> np.ndarray:
        assert row is None
        # The header of an image takes megabytes: it is not kept from one file to the next.
        again: Any = nibabel.load(file)
        return np.asanyarray(again.dataobj)[:, kept].T

    return Source(
        str(file),
        State.of(file),
        (len(kept), image.shape[0]),
        read,
        one=True,
        grid=grid.hexdigest(),
    )
