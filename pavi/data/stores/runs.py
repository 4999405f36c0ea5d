"""Which contiguous stretches of an array hold some rows of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np


def runs_of(
    shape: Sequence[int], rows: Sequence[np.ndarray | None]
) -> tuple[np.ndarray, np.ndarray]:
    """The stretches of an array in C order, in the order of the rows.

    Everything behind the last axis of which not all rows are chosen is contiguous, and so are
    consecutive rows of that axis.

    Args:
        shape: Of the array.
        rows: Per leading axis, row numbers or None for all of them.

    Returns:
        The first number and the length of each stretch, counted in numbers, `(stretches,)`.

    Example:
        >>> starts, lengths = runs_of((2, 10, 4), [None, np.array([3, 4, 8])])
        >>> starts.tolist(), lengths.tolist()
        ([12, 32, 52, 72], [8, 4, 8, 4])
    """
    last = max((axis for axis, numbers in enumerate(rows) if numbers is not None), default=None)
    if last is None:
        return np.zeros(1, np.int64), np.full(1, prod(shape), np.int64)
    chosen, row = rows[last], prod(shape[last + 1 :])
    assert chosen is not None
    breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
    first = np.concatenate([[0], breaks])[: len(chosen)]
    counts = np.diff(np.concatenate([first, [len(chosen)]]))
    starts, lengths = chosen[first].astype(np.int64) * row, counts * row
    for axis in reversed(range(last)):
        numbers = rows[axis]
        outer = np.arange(shape[axis]) if numbers is None else numbers
        starts = (outer.astype(np.int64)[:, None] * prod(shape[axis + 1 :]) + starts).ravel()
        lengths = np.tile(lengths, len(outer))
    return starts, lengths
