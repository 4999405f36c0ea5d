"""How many rows a step draws when the user does not say."""

from __future__ import annotations

from pavi.data.plate_data import PlateData

# Up to this many numbers per draw a step on all data is as fast as one on a part of them.
FULL_BATCH = 200_000


def default_batch(data: PlateData) -> dict[str, int]:
    """All data while a draw holds at most 200,000 numbers, otherwise that many by rows.

    The rows are those of the largest plate that lies within no other. Of plates about as large, as
    those of a crossing are, it is one of which a row fits, and of equals the one of most rows.
    """
    numbers = data.numbers()
    if not numbers or max(numbers.values()) <= FULL_BATCH:
        return {}
    rows, largest = data.cardinalities, max(numbers.values())

    def rank(plate: str) -> tuple[float, int, int]:
        fits = min(1.0, rows[plate] * FULL_BATCH / numbers[plate])
        return fits, numbers[plate], rows[plate]

    plate = max((p for p in numbers if 2 * numbers[p] >= largest), key=rank)
    return {plate: max(1, rows[plate] * FULL_BATCH // numbers[plate])}
