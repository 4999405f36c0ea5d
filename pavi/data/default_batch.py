"""How many rows a step draws when the user does not say."""

from __future__ import annotations

from pavi.data.plate_data import PlateData

# Up to this many numbers per draw a step on all data is as fast as one on a part of them.
FULL_BATCH = 200_000


def default_batch(data: PlateData) -> dict[str, int]:
    """All data while a draw holds at most 200,000 numbers, otherwise that many by rows.

    The rows are those of the largest plate that lies within no other.
    """
    numbers = data.numbers()
    if not numbers or max(numbers.values()) <= FULL_BATCH:
        return {}
    plate = max(numbers, key=lambda p: numbers[p])
    rows = data.cardinalities[plate]
    return {plate: max(1, rows * FULL_BATCH // numbers[plate])}
