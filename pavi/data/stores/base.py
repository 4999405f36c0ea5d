"""What a store is: the values of one site, wherever they lie."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

# What makes a store, in messages.
MAKERS = (
    "`python -m pavi.data.convert SOURCE... OUT`, or `python -m experiments.hcp_like generate` "
    "for a simulated cohort"
)
# What is lost of a store comes back by the command that made it, and what is damaged by the same.
AGAIN = f"Give the command that made it again ({MAKERS}): it goes on from what is there."
REPAIR = f"Give the command that made it again with --repair ({MAKERS})."
ANEW = f"Delete the folder, and make the store again by {MAKERS}."

# Per leading axis, the row numbers to read in any order, or None for all rows.
Rows = Sequence[np.ndarray | None]


class Store(ABC):
    """The values of one site, `(*plates, *event)`, of which some rows are read at a time.

    Values in memory need no store: a tensor is one. Making a new kind of store:

    * `shape` and `dtype` are known without reading values.
    * `take` reads only what it is asked for, may be called from several threads at once, and gives
      what `numpy.load(...)[numpy.ix_(...)]` would. It calls `checked` first.
    * It can be pickled, for other processes to open anew.
    * All values are finite; a data set checks what it reads.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """The number of rows of each plate, and the shape of one value."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """The type of the values where they lie."""

    @abstractmethod
    def take(self, rows: Rows, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Read some rows, in the order in which they are named.

        Args:
            rows: Per leading axis, row numbers or None for all; axes beyond come whole.
            dtype: The type of what is returned.

        Returns:
            `(*numbers of rows, *other axes)`.

        Raises:
            ValueError: If a row is out of range.
            DamagedStoreError: If the values cannot be read.
        """

    @property
    def digest(self) -> str:
        """Sixteen digits that tell its values from others as far as it can without reading them.

        By shape and type, where a store knows no more of its values.
        """
        return hashlib.sha256(repr((self.shape, self.dtype.str)).encode()).hexdigest()[:16]

    def checked(self, rows: Rows) -> list[np.ndarray | None]:
        """The rows of every axis that is named, with None for all rows in their order.

        Raises:
            ValueError: If there are more of these than axes, or a row is out of range.
        """
        if len(rows) > len(self.shape):
            raise ValueError(
                f"{self}: rows of {len(rows)} axes asked for; its shape is {self.shape}."
            )
        found: list[np.ndarray | None] = []
        for axis, (numbers, size) in enumerate(zip(rows, self.shape, strict=False)):
            if numbers is None:
                found.append(None)
                continue
            numbers = np.asarray(numbers)
            if numbers.size and not (0 <= numbers.min() and numbers.max() < size):
                raise ValueError(
                    f"{self}: axis {axis} has rows 0 to {size - 1}; asked for rows from "
                    f"{numbers.min()} to {numbers.max()}."
                )
            whole = len(numbers) == size and np.array_equal(numbers, np.arange(size))
            found.append(None if whole else numbers)
        return found


@final
class DamagedStoreError(ValueError):
    """A store holds something else than its manifest says.

    Args:
        message: Which store, what is wrong, and what to do.
        parts: The damaged rows of the first axis, where these are known.
    """

    def __init__(self, message: str, *, parts: Sequence[int] = ()) -> None:
        super().__init__(message)
        self.parts = tuple(parts)
