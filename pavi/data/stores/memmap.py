"""A store on disk as one raw array, read in contiguous runs."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from pavi.core.listing import few
from pavi.data.stores.base import AGAIN, REPAIR, DamagedStoreError, Rows, Store
from pavi.data.stores.manifest import VALUES, Manifest
from pavi.data.stores.runs import runs_of
from pavi.data.stores.verification import damaged_parts

NAMED = 8  # parts in a message


@final
class MemmapStore(Store):
    """A folder with a raw array and its manifest, as `StoreWriter` makes it; see `open`.

    Rows are read by `preadv` and not through a map of memory: where the page cache is cold, a
    page fault drags in megabytes around every row, and a read only what it is asked for (20 to
    30 times faster for a plate-batch). One read serves a run of consecutive rows of the last
    axis that is not taken whole.

    Args:
        folder: Of the store.
        manifest: What it says of itself.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder, self._manifest = folder, manifest
        self._file = os.open(folder / VALUES, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    @classmethod
    def open(cls, folder: Path | str) -> MemmapStore:
        """Open a complete store.

        Header, size and completeness are checked, values are not: see `verify`.

        Raises:
            ValueError: If the folder is no store, or one that is not complete.
            DamagedStoreError: If its files do not fit each other.
        """
        folder = Path(folder)
        try:
            manifest = Manifest.read(folder)
            manifest.check_values(folder)
            if absent := manifest.absent:
                raise ValueError(
                    f"{folder} is not complete: {len(absent)} of {manifest.shape[0]} parts were "
                    f"not written, {few(absent, NAMED)}. {AGAIN}"
                )
            return cls(folder, manifest)
        except OSError as error:
            raise ValueError(
                f"{error.filename or folder} cannot be read: {error.strerror}. See to its "
                "permissions and to the disk."
            ) from error

    def __repr__(self) -> str:
        return f"MemmapStore({str(self._folder)!r})"

    def __reduce__(self) -> tuple[Callable[..., MemmapStore], tuple[Path]]:
        return MemmapStore.open, (self._folder,)

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Store`."""
        return self._manifest.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Store`."""
        return self._manifest.dtype

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._folder

    @property
    def digest(self) -> str:
        """See `Store`; by shape, type and checksums."""
        return self._manifest.digest

    def take(self, rows: Rows, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """See `Store`."""
        chosen = self.checked(rows)
        counts = [n if r is None else len(r) for r, n in zip(chosen, self.shape, strict=False)]
        values = np.empty((*counts, *self.shape[len(chosen) :]), dtype=self.dtype)
        starts, lengths = runs_of(self.shape, chosen)
        item, header = self.dtype.itemsize, len(self._manifest.header)
        buffer, filled = values.reshape(-1).view(np.uint8).data, 0
        offsets = (starts * item + header).tolist()
        for offset, size in zip(offsets, (lengths * item).tolist(), strict=True):
            self._fill(buffer[filled : filled + size], offset)
            filled += size
        return torch.from_numpy(values).to(dtype)

    def verify(self, parts: Sequence[int] | None = None, *, progress: bool = True) -> None:
        """Read parts and compare them with the checksums of the manifest.

        Args:
            parts: Which; all by default.
            progress: Whether to show a bar.

        Raises:
            DamagedStoreError: If some parts differ; it names them and holds them as `parts`.
        """
        damaged = damaged_parts(self._folder, self._manifest, progress=progress, parts=parts)
        if damaged:
            raise DamagedStoreError(
                f"{self._folder}: {len(damaged)} of {self.shape[0]} parts are damaged, "
                f"{few(damaged, NAMED)}: their bytes in {VALUES} are not those that were written, "
                f"by their checksums. {REPAIR}",
                parts=damaged,
            )

    def _fill(self, buffer: memoryview, offset: int) -> None:
        """Read a run; one call brings at most 2 GB, and any call may bring less than asked for."""
        filled = 0
        while filled < len(buffer):
            try:
                count = os.preadv(self._file, [buffer[filled:]], offset + filled)
            except OSError as error:
                raise self._unreadable(offset, str(error.strerror)) from error
            if count == 0:
                raise self._unreadable(offset, "the file ends before it")
            filled += count

    def _unreadable(self, offset: int, reason: str) -> DamagedStoreError:
        part = (offset - len(self._manifest.header)) // self._manifest.part_bytes
        return DamagedStoreError(
            f"{self._folder / VALUES}: part {part} cannot be read: {reason}. {AGAIN}",
            parts=[part],
        )
