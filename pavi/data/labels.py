"""The user's names of rows, as plain Python values that a saved posterior can hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np

# What JSON holds as it is, and what it holds as a text with the name of the kind.
PLAIN = (str, bool, int, float, type(None))
AS_TEXT: dict[type, tuple[Callable[[Any], str], Callable[[str], Any]]] = {
    datetime: (datetime.isoformat, datetime.fromisoformat),
    date: (date.isoformat, date.fromisoformat),
    Decimal: (str, Decimal),
}
KINDS = {kind.__name__: kind for kind in AS_TEXT}


def checked_labels(
    labels: Mapping[str, Sequence[Any] | np.ndarray], cardinalities: Mapping[str, int]
) -> dict[str, list[Any]]:
    """Plain labels of every plate that has some, one for each row.

    Args:
        labels: Per plate, the names of its rows.
        cardinalities: The number of rows of each plate.

    Raises:
        ValueError: If there is no such plate, it has another number of rows, or a label is of
            another kind than `plain_labels` takes.
    """
    for plate, names in labels.items():
        if plate not in cardinalities or len(names) != cardinalities[plate]:
            raise ValueError(
                f"labels of plate {plate!r}: got {len(names)} names; "
                f"plates and their rows are {dict(cardinalities)}."
            )
    return {plate: plain_labels(plate, names) for plate, names in labels.items()}


def plain_labels(plate: str, labels: Sequence[Any] | np.ndarray) -> list[Any]:
    """The labels with numpy's scalars as Python's.

    Args:
        plate: Of these rows.
        labels: Texts, numbers, dates, decimals, or tuples of these.

    Raises:
        ValueError: If one is of another kind.
    """
    if isinstance(labels, np.ndarray) and labels.dtype.kind not in "OM":
        return labels.tolist()  # the same without a loop
    return [_plain(plate, label) for label in labels]


def to_json(label: Any) -> Any:
    """A plain label as JSON holds it: other kinds than JSON's own as an object of one entry."""
    if isinstance(label, tuple):
        return {"tuple": [to_json(part) for part in label]}
    for kind, (write, _) in AS_TEXT.items():
        if isinstance(label, kind):
            return {kind.__name__: write(label)}
    return label


def from_json(held: Any) -> Any:
    """The label that `to_json` wrote."""
    if not isinstance(held, dict):
        return held
    ((name, value),) = held.items()
    if name == "tuple":
        return tuple(from_json(part) for part in value)
    return AS_TEXT[KINDS[name]][1](value)


def _plain(plate: str, label: Any) -> Any:
    if type(label) in PLAIN:
        return label
    if isinstance(label, tuple):
        return tuple(_plain(plate, part) for part in label)
    found = label
    if isinstance(label, np.datetime64):
        # A count of nanoseconds is no date to Python; whole days stay days.
        days = np.datetime_data(label.dtype)[0] == "D"
        found = label.astype("datetime64[D]" if days else "datetime64[us]").item()
    elif isinstance(label, np.generic):
        found = label.item()
    if isinstance(found, (*PLAIN, *AS_TEXT)):
        return found
    kinds = sorted({"text", "number", "tuple", *KINDS})
    raise ValueError(
        f"labels of plate {plate!r}: {label!r} is a {type(label).__name__}, which a saved "
        f"posterior cannot hold; a label is one of {kinds}. Make it a text with str()."
    )
