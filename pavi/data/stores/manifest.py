"""What a store says of itself: its format, shape, type, and a checksum of every part.

A store is a folder of two files. `values.npy` is an ordinary array of numpy in C order, which
`numpy.load(..., mmap_mode="r")` reads. `manifest.json` lists the CRC-32 of every *part*, a row of
the first axis; a part that is not complete has none. It is replaced as a whole, and only after the
bytes that it vouches for are on the disk.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, final

import numpy as np

from pavi.data.stores.base import AGAIN, ANEW, MAKERS, DamagedStoreError
from pavi.files import whole_file

FORMAT = 1
MANIFEST, VALUES = "manifest.json", "values.npy"
KEYS = ("format", "shape", "dtype", "checksums")
# Little-endian types that both numpy and torch have.
TYPES = tuple(
    np.dtype(name).newbyteorder("<")
    for name in (
        *("float16", "float32", "float64"),
        *("bool", "uint8", "int8", "int16", "int32", "int64"),
    )
)


@final
@dataclass(frozen=True)
class Manifest:
    """What `manifest.json` holds.

    Args:
        shape: Of all values.
        dtype: Of the values in the file.
        checksums: Per part its CRC-32, or None while it is not complete.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    checksums: tuple[int | None, ...]

    @property
    def part_bytes(self) -> int:
        """The size of a part in the file."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def absent(self) -> list[int]:
        """The parts that are not complete."""
        return [part for part, checksum in enumerate(self.checksums) if checksum is None]

    @property
    def digest(self) -> str:
        """Sixteen digits that stand for all that it says."""
        held = repr((self.shape, self.dtype.name, self.checksums))
        return hashlib.sha256(held.encode()).hexdigest()[:16]

    @cached_property
    def header(self) -> bytes:
        """What `values.npy` begins with."""
        stream = _Bytes()
        np.lib.format.write_array_header_1_0(
            stream, {"descr": self.dtype.str, "fortran_order": False, "shape": self.shape}
        )
        return bytes(stream.held)

    @property
    def file_bytes(self) -> int:
        """The size of `values.npy`."""
        return len(self.header) + self.shape[0] * self.part_bytes

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of a store.

        Raises:
            ValueError: If the folder is no store.
            DamagedStoreError: If the manifest cannot be made sense of.
        """
        if not folder.is_dir():
            raise ValueError(
                f"{folder} is not a store: there is no such folder. A store is made by {MAKERS}."
            )
        if not (folder / MANIFEST).is_file():
            raise ValueError(
                f"{folder} is not a store: it has no {MANIFEST}. A store is made by {MAKERS}."
            )
        try:
            held = json.loads((folder / MANIFEST).read_text())
            absent = [key for key in KEYS if key not in held]
        except (OSError, ValueError, TypeError) as error:
            raise DamagedStoreError(
                f"{folder / MANIFEST} cannot be read: {error}. {ANEW}"
            ) from error
        if absent:
            raise DamagedStoreError(
                f"{folder / MANIFEST} is damaged: expected {list(KEYS)}, it lacks {absent}. {ANEW}"
            )
        if held["format"] != FORMAT:
            raise ValueError(
                f"{folder} is a store of format {held['format']}; this version reads {FORMAT}. "
                f"Read it with the version of pavi that wrote it. {ANEW}"
            )
        try:
            manifest = cls(
                shape=tuple(int(size) for size in held["shape"]),
                dtype=stored_type(held["dtype"]),
                checksums=tuple(None if c is None else int(c) for c in held["checksums"]),
            )
            check_shape(manifest.shape)
        except (TypeError, ValueError) as error:
            raise DamagedStoreError(f"{folder / MANIFEST} is damaged: {error} {ANEW}") from error
        if len(manifest.checksums) != manifest.shape[0]:
            raise DamagedStoreError(
                f"{folder / MANIFEST} is damaged: it has {len(manifest.checksums)} checksums for "
                f"{manifest.shape[0]} parts. {ANEW}"
            )
        return manifest

    def write(self, folder: Path) -> None:
        """Put the manifest in its place: the old one or the new one, never half of one."""
        text = json.dumps(
            {
                "format": FORMAT,
                "shape": self.shape,
                "dtype": self.dtype.name,
                "checksums": self.checksums,
            }
        )
        with whole_file(folder / MANIFEST, binary=True) as stream:
            stream.write(text.encode())

    def check_values(self, folder: Path) -> None:
        """See that `values.npy` is the file that the manifest describes, by header and size.

        Raises:
            DamagedStoreError: If it is not; with the parts that are lost, where it is absent or
                cut off and the others are whole.
        """
        path = folder / VALUES
        if not path.is_file():
            raise DamagedStoreError(
                f"{folder} is a damaged store: it has no {VALUES}, expected one of "
                f"{self.file_bytes:,} bytes. {AGAIN}",
                parts=range(self.shape[0]),
            )
        with path.open("rb") as stream:
            header = stream.read(len(self.header))
        if header != self.header[: len(header)]:
            raise DamagedStoreError(
                f"{path} does not fit its manifest: expected the header of an array "
                f"{self.shape} of {self.dtype}, got {_described(path)}. {ANEW}"
            )
        if (size := path.stat().st_size) < self.file_bytes:
            whole = max(0, size - len(self.header)) // self.part_bytes
            raise DamagedStoreError(
                f"{path} does not fit its manifest: expected {self.file_bytes:,} bytes, got "
                f"{size:,}; parts {whole} to {self.shape[0] - 1} are cut off. {AGAIN}",
                parts=range(whole, self.shape[0]),
            )
        if size > self.file_bytes:
            raise DamagedStoreError(
                f"{path} does not fit its manifest: expected {self.file_bytes:,} bytes, got "
                f"{size:,}. {ANEW}"
            )

    def without(self, parts: Sequence[int]) -> Manifest:
        """The same with some parts that are not complete."""
        lost = set(parts)
        kept = (None if part in lost else held for part, held in enumerate(self.checksums))
        return replace(self, checksums=tuple(kept))


@final
class _Bytes:
    """A file in memory, for numpy to write a header to."""

    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: bytes) -> int:
        self.held += data
        return len(data)


def stored_type(dtype: Any) -> np.dtype[Any]:
    """A type that a store may have.

    Raises:
        ValueError: If it is another one.
    """
    try:
        found = np.dtype(dtype).newbyteorder("<")
        if found in TYPES:
            return found
    except TypeError:
        pass
    raise ValueError(f"dtype must be one of {[known.name for known in TYPES]}, got {dtype!r}.")


def check_shape(shape: tuple[int, ...]) -> None:
    """See that a store can have this shape.

    Raises:
        ValueError: If it has no axis, or one without rows.
    """
    if not shape or min(shape) < 1:
        raise ValueError(
            f"the shape of a store is (*plates, *event), all of them positive, got {shape}."
        )


def _described(path: Path) -> str:
    """What kind of array a file holds, in words."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            one = version == (1, 0)
            lib = np.lib.format
            read = lib.read_array_header_1_0 if one else lib.read_array_header_2_0
            shape, fortran, dtype = read(stream)
    except (OSError, ValueError) as error:
        return f"no header of an array ({error})"
    return f"that of an array {shape} of {dtype}{' in Fortran order' if fortran else ''}"
