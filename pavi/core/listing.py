"""Lists in messages."""

from __future__ import annotations

from collections.abc import Sequence


def few(items: Sequence[object], shown: int) -> str:
    """The first items, and how many more there are.

    Args:
        items: What is listed.
        shown: How many to list.

    Example:
        >>> few(["a", "b", "c", "d"], 2)
        'a, b and 2 more'
    """
    listed, more = ", ".join(map(str, items[:shown])), len(items) - shown
    return f"{listed} and {more} more" if more > 0 else listed
