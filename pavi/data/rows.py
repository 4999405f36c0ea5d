"""The values of some rows of every plate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor


def take_rows(
    value: Tensor, plates: Sequence[str], rows: Mapping[str, np.ndarray], *, lead: int = 0
) -> Tensor:
    """The rows of a value `(*lead axes, *plates, ...)`; all of a plate that `rows` leaves out.

    Args:
        value: The value.
        plates: Its plates.
        rows: Per plate, row numbers in any order.
        lead: The number of axes before those of the plates.
    """
    for axis, plate in enumerate(plates):
        if plate in rows:
            value = value.index_select(lead + axis, torch.as_tensor(rows[plate]))
    return value
