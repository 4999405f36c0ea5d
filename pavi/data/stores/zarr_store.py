"""An array in a zarr folder as a store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from pavi.data.stores.base import DamagedStoreError, Rows, Store


@final
class ZarrStore(Store):
    """An array that somebody else wrote as zarr; see `open`.

    A plate-batch takes some 20 milliseconds, most of them not for the disk: for a long fit,
    `pavi.data.convert` makes it a `MemmapStore`.

    Args:
        path: Of the array.
        array: The opened array.
    """

    def __init__(self, path: Path, array: Any) -> None:
        self._path, self._array = path, array

    @classmethod
    def open(cls, path: Path | str) -> ZarrStore:
        """Open an array.

        Raises:
            ImportError: Without zarr, which the extra `zarr` brings.
            ValueError: If there is no array of numbers at this place.
        """
        try:
            import zarr
        except ImportError:
            raise ImportError(
                "ZarrStore needs zarr, which is optional: pip install 'pavi-torch[zarr]'"
            ) from None
        path = Path(path)
        if not path.exists():
            raise ValueError(f"{path} is not a zarr array: there is no such folder.")
        try:
            array = zarr.open_array(path, mode="r")
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(
                f"{path} is not a zarr array: {error}. Of a group, name the array within it."
            ) from error
        if np.dtype(array.dtype).kind not in "biuf":
            raise ValueError(f"{path}: expected an array of numbers, got one of {array.dtype}.")
        return cls(path, array)

    def __repr__(self) -> str:
        return f"ZarrStore({str(self._path)!r})"

    def __reduce__(self) -> tuple[Callable[..., ZarrStore], tuple[Path]]:
        return ZarrStore.open, (self._path,)

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Store`."""
        return tuple(self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Store`."""
        return np.dtype(self._array.dtype)

    def take(self, rows: Rows, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """See `Store`."""
        chosen = self.checked(rows)
        index = tuple(slice(None) if numbers is None else numbers for numbers in chosen)
        try:
            values = np.ascontiguousarray(self._array.oindex[index])
        except (OSError, ValueError, RuntimeError) as error:
            raise DamagedStoreError(
                f"{self._path}: a chunk cannot be read: {error}. Write the array again by what "
                "made it; `python -m pavi.data.convert` names the row."
            ) from error
        return torch.from_numpy(values).to(dtype)
