"""What tells a data set from others of the same shape."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from pavi.data.plate_data import PlateData

DIGITS = 16


def fingerprint(data: PlateData) -> dict[str, str]:
    """Sixteen digits per measured site, that other values do not have.

    Values in memory are read whole, a gigabyte in about a second. Those that stay on disk are told
    apart by what their store says of itself, see `Store.digest`.

    Args:
        data: The data.
    """
    found = {}
    for name in data.measured:
        if name in data.stores:
            found[name] = data.stores[name].digest
            continue
        parts = [data.values[name]]
        if (present := data.present.get(name)) is not None:
            # What stands where nothing was measured is nobody's business.
            hidden = ~present.reshape(*present.shape, *[1] * (parts[0].ndim - present.ndim))
            parts = [parts[0].masked_fill(hidden, 0), present]
        found[name] = _digest(parts)
    return found


def _digest(parts: list[Tensor]) -> str:
    hashed = hashlib.sha256()
    for part in parts:
        held = part.detach().cpu().contiguous().numpy()
        hashed.update(repr((held.dtype.str, held.shape)).encode())
        hashed.update(held.reshape(-1).view("uint8").data)
    return hashed.hexdigest()[:DIGITS]
