"""The fingerprints of a cohort, as they lie on disk and as the model has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from pavi.data.stores import MemmapStore, Store
from pavi.data.stores.base import Rows

SUBJECT, SESSION, VERTEX, DIM = range(4)
# The sessions share a label and are an axis of a value: (subject, vertex, session, dim).
AXES = (SUBJECT, VERTEX, SESSION, DIM)


def open_fingerprints(cohort: Path) -> MemmapStore:
    """The store of a cohort, `(subject, session, vertex, dim)`.

    Args:
        cohort: Its folder, or that of the store itself.

    Raises:
        ValueError: If there is none, it is not complete, or has another number of axes.
    """
    folder = cohort / "x" if (cohort / "x").is_dir() else cohort
    store = MemmapStore.open(folder)
    if len(store.shape) != len(AXES):
        raise ValueError(
            f"{folder} holds values of shape {store.shape}; expected (subject, session, vertex, "
            "dim). `python -m experiments.hcp_like generate` makes a cohort, and "
            "`python -m pavi.data.convert` turns your own data into a store."
        )
    return store


@final
class ByVertex(Store):
    """The fingerprints with the sessions of a vertex side by side.

    Args:
        store: `(subject, session, vertex, dim)`.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"{self._store!r} by vertex"

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Store`."""
        return tuple(self._store.shape[axis] for axis in AXES)

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Store`."""
        return self._store.dtype

    def take(self, rows: Rows, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """See `Store`."""
        asked: list[np.ndarray | None] = [None] * len(AXES)
        for axis, numbers in zip(AXES, self.checked(rows), strict=False):
            asked[axis] = numbers
        return self._store.take(asked, dtype=dtype).permute(AXES)
