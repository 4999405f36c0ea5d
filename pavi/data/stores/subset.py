"""Some rows of a store, as a store."""

from __future__ import annotations

import hashlib
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from pavi.data.stores.base import Rows, Store


@final
class StoreSubset(Store):
    """Some rows of a store, of which nothing is read before it is asked for.

    Args:
        store: The store.
        rows: Per leading axis, the rows that are left, or None for all.

    Raises:
        ValueError: If a row is out of range.
    """

    def __init__(self, store: Store, rows: Rows) -> None:
        chosen = store.checked(rows)
        self._store = store
        self._rows = [*chosen, *[None] * (len(store.shape) - len(chosen))]

    def __repr__(self) -> str:
        return f"rows of {self._store!r}"

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Store`."""
        both = zip(self._rows, self._store.shape, strict=True)
        return tuple(size if rows is None else len(rows) for rows, size in both)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Store`."""
        return self._store.dtype

    @property
    def digest(self) -> str:
        """See `Store`; by the digest of the whole and the rows."""
        hashed = hashlib.sha256(self._store.digest.encode())
        for rows in self._rows:
            hashed.update(b"all" if rows is None else repr(rows.shape).encode() + rows.tobytes())
        return hashed.hexdigest()[:16]

    def take(self, rows: Rows, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """See `Store`."""
        chosen = self.checked(rows)
        asked = [*chosen, *[None] * (len(self._rows) - len(chosen))]
        both = zip(self._rows, asked, strict=True)
        return self._store.take(
            [new if own is None else own if new is None else own[new] for own, new in both],
            dtype=dtype,
        )
