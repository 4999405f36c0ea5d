"""Writing a store part by part, in any order, with nothing lost when it is interrupted."""

from __future__ import annotations

import os
import shutil
import weakref
import zlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

import numpy as np

from pavi.data.stores.base import DamagedStoreError
from pavi.data.stores.manifest import MANIFEST, VALUES, Manifest, check_shape, stored_type
from pavi.files import DiskFullError, check_writable, size_told
from pavi.files.disk import disk_is_full, free_bytes

# Parts that are written between two replacements of the manifest: so many may be lost.
EVERY = 8


@final
class StoreWriter:
    """Writes a `MemmapStore`, or goes on with one.

    A part, a row of the first axis, counts as complete once its bytes are on the disk *and* the
    manifest says so; after an interruption `done` tells which parts these are. A part may be
    written again, in a complete store too. Parts that were cut off since are not complete any
    more.

    Args:
        folder: Of the store; it may hold other files.
        shape: `(*plates, *event)` of all values.
        dtype: Of the values on disk. Half precision is enough for standardised data.
        every: After how many parts the manifest is brought up to date.
        manifest: Whether this process keeps the manifest. Of several that write parts of one
            store, one does, which opens it before the others; these bring their parts to the disk
            with `flush` and tell it their `checksums`, which it takes with `claim`.

    Raises:
        ValueError: If the folder cannot be written to, holds a store of another shape or type or
            an array without a manifest, or the disk has too little room.
        DiskFullError: If the disk is full nevertheless.

    Example:
        >>> with StoreWriter(folder, shape=(2, 3)) as writer:  # doctest: +SKIP
        ...     for part in sorted(set(range(2)) - writer.done):
        ...         writer.write(part, np.zeros(3))
        ...     writer.finish()
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        shape: tuple[int, ...],
        dtype: Any = "float16",
        every: int = EVERY,
        manifest: bool = True,
    ) -> None:
        self._folder, self._every, self._waiting = Path(folder), every, 0
        self._keeps_manifest = manifest
        shape = tuple(int(size) for size in shape)
        check_shape(shape)
        if every < 1:
            raise ValueError(f"every must be positive, got {every}.")
        fresh = Manifest(shape, stored_type(dtype), (None,) * shape[0])
        try:
            self._manifest = self._begin(fresh) if manifest else Manifest.read(self._folder)
            self._file = os.open(self._folder / VALUES, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise ValueError(
                f"{folder} cannot be written to: {error.strerror}; choose another folder, or "
                "change its permissions."
            ) from error
        self._close = weakref.finalize(self, os.close, self._file)
        self._checksums = list(self._manifest.checksums)
        if manifest:
            try:
                if not self.done:
                    os.pwrite(self._file, self._manifest.header, 0)
                if os.fstat(self._file).st_size != self._manifest.file_bytes:
                    os.truncate(self._file, self._manifest.file_bytes)
            except OSError as error:
                self._close()
                raise self._refused("the header", error) from error

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Keep what was written, whatever happened."""
        if self._close.alive:
            try:
                self.flush()
            finally:
                self._close()

    @property
    def done(self) -> frozenset[int]:
        """The parts that are complete."""
        return frozenset(self.checksums)

    @property
    def checksums(self) -> dict[int, int]:
        """Of the parts that are complete, and on the disk after `flush`."""
        return {part: held for part, held in enumerate(self._checksums) if held is not None}

    def claim(self, checksums: Mapping[int, int]) -> None:
        """Take parts as complete that another process has brought to the disk.

        Args:
            checksums: Of its parts, by number.

        Raises:
            ValueError: If there is no such part.
        """
        for part, checksum in checksums.items():
            self._check_part(part)
            self._checksums[part] = checksum
        self.flush()

    def write(self, part: int, values: np.ndarray) -> None:
        """Write a part; what it held before is gone.

        Args:
            part: The row of the first axis.
            values: `shape[1:]`, finite.

        Raises:
            ValueError: If there is no such part, its shape is another one, a value is not finite
                or not held by the type of the store, or the disk refuses.
            DiskFullError: If it is full.
        """
        stored = self._stored(part, values)
        if self._checksums[part] is not None:
            self.forget([part])
        offset = len(self._manifest.header) + part * self._manifest.part_bytes
        data, written = stored.reshape(-1).view(np.uint8).data, 0
        while written < len(data):
            try:
                written += os.pwrite(self._file, data[written:], offset + written)
            except OSError as error:
                raise self._refused(f"part {part}", error) from error
        self._checksums[part] = zlib.crc32(data)
        self._waiting += 1
        if self._waiting >= self._every:
            self.flush()

    def forget(self, parts: list[int] | tuple[int, ...]) -> None:
        """Take parts as not written, such as those that `MemmapStore.verify` finds damaged."""
        for part in parts:
            self._check_part(part)
            self._checksums[part] = None
        self.flush()

    def flush(self) -> None:
        """Bring all parts to the disk, and then the manifest up to date.

        Raises:
            ValueError: If the disk refuses.
            DiskFullError: If it is full.
        """
        self._waiting = 0
        if tuple(self._checksums) == self._manifest.checksums:
            return
        try:
            os.fsync(self._file)
            if not self._keeps_manifest:
                return
            manifest = Manifest(self._manifest.shape, self._manifest.dtype, tuple(self._checksums))
            manifest.write(self._folder)
        except OSError as error:
            raise self._refused("the manifest", error) from error
        self._manifest = manifest

    def finish(self) -> None:
        """Close a complete store.

        Raises:
            ValueError: If parts are missing.
        """
        self.flush()
        if absent := self._manifest.absent:
            raise ValueError(
                f"{self._folder}: {len(absent)} of {len(self._checksums)} parts were not written, "
                f"the first is part {absent[0]}."
            )
        self._close()

    def _begin(self, fresh: Manifest) -> Manifest:
        """The manifest that is there, or else the fresh one, which then is there."""
        folder, values = self._folder, self._folder / VALUES
        check_writable(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".{MANIFEST}.*"):  # by a writer that was killed
            left.unlink()
        if not (folder / MANIFEST).exists():
            if values.exists():
                raise ValueError(
                    f"{folder} holds a {VALUES} that is no store's, for it has no {MANIFEST}; "
                    "choose another folder."
                )
            _check_room(folder, fresh)
            fresh.write(folder)
            return fresh
        held = Manifest.read(folder)
        if (held.shape, held.dtype) != (fresh.shape, fresh.dtype):
            raise ValueError(
                f"{folder} holds a store {held.shape} of {held.dtype}, and one of {fresh.shape} "
                f"of {fresh.dtype} was to be written; choose another folder, or remove that one."
            )
        if len(held.absent) < held.shape[0]:
            try:
                held.check_values(folder)
            except DamagedStoreError as error:
                if not error.parts:
                    raise
                held = held.without(error.parts)  # which are to be written once more
                held.write(folder)
        _check_room(folder, held)
        return held

    def _check_part(self, part: int) -> None:
        if not 0 <= part < len(self._checksums):
            raise ValueError(
                f"{self._folder} has parts 0 to {len(self._checksums) - 1}, got part {part}."
            )

    def _stored(self, part: int, values: np.ndarray) -> np.ndarray:
        """The values as they lie on disk."""
        if not self._close.alive:
            raise ValueError(f"{self._folder}: the store is closed; make another StoreWriter.")
        self._check_part(part)
        values, dtype = np.asarray(values), self._manifest.dtype
        if values.shape != self._manifest.shape[1:]:
            raise ValueError(
                f"{self._folder}, part {part}: expected values of shape "
                f"{self._manifest.shape[1:]}, got {values.shape}."
            )
        if values.dtype.kind not in "biuf":
            raise ValueError(f"{self._folder}, part {part}: expected numbers, got {values.dtype}.")
        with np.errstate(over="ignore", invalid="ignore"):
            stored = np.ascontiguousarray(values, dtype=dtype)
        if values.dtype.kind == "f" and (bad := int((~np.isfinite(values)).sum())):
            raise ValueError(
                f"{self._folder}, part {part}: {bad} of {values.size} values are NaN or infinite; "
                "a store holds finite ones: fill them, or leave such rows out."
            )
        exact = dtype.kind != "f" or values.dtype.kind != "f"
        held = np.array_equal(stored, values) if exact else np.isfinite(stored).all()
        if not held:
            raise ValueError(
                f"{self._folder}, part {part}: {dtype} does not hold its values, which go from "
                f"{values.min()} to {values.max()} ({values.dtype}); use another dtype or scale "
                "them."
            )
        return stored

    def _refused(self, what: str, error: OSError) -> ValueError | DiskFullError:
        if disk_is_full(error):
            path = self._folder / VALUES
            needed = self._manifest.part_bytes
            return DiskFullError(path, needed=needed, free=free_bytes(path))
        complete = self._manifest.shape[0] - len(self._manifest.absent)
        return ValueError(
            f"{self._folder}: {what} cannot be written: {error.strerror}. {complete} of "
            f"{self._manifest.shape[0]} parts are complete and stay so; see to the disk and run "
            "this again."
        )


def _check_room(folder: Path, manifest: Manifest) -> None:
    """See that the disk has room for what the file does not take up already."""
    values = folder / VALUES
    taken = 512 * values.stat().st_blocks if values.exists() else 0
    needed, free = max(0, manifest.file_bytes - taken), shutil.disk_usage(folder).free
    if needed > free:
        raise ValueError(
            f"a store {manifest.shape} of {manifest.dtype} needs {size_told(needed)}, "
            f"{size_told(free)} free at {folder}."
        )
