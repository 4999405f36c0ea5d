"""Numbers as texts."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, isfinite, log10

MINUS = "\N{MINUS SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def short(value: float) -> str:
    """Four significant digits, with a proper minus sign; large whole numbers in full.

    Example:
        >>> short(1234567.0), short(0.0123456), short(3.0)
        ('1,234,567', '0.01235', '3')
    """
    if not isfinite(value):
        return "not finite"
    if 1000 <= abs(value) < 1e9:
        text = (
            f"{value:,.0f}" if abs(value) >= 10_000 or value == round(value) else f"{value:,.1f}"
        )
    else:
        text = f"{value:.4g}"
    return text.replace("-", MINUS)


def aligned(values: Sequence[float], *, spread: float) -> list[str]:
    """Numbers with as many decimals as give two digits of their spread.

    Example:
        >>> aligned([0.94834, 0.08347], spread=0.08347)
        ['0.948', '0.083']
    """
    if not (isfinite(spread) and spread > 0):
        return [short(value) for value in values]
    decimals = 1 - floor(log10(spread))
    if decimals > 8:
        return [short(value) for value in values]
    texts = [f"{value:,.{max(decimals, 0)}f}" for value in values]
    # What rounds to zero has no sign.
    return [text.replace("-", MINUS if text.strip("-0.,") else "") for text in texts]


def percent(level: float) -> str:
    """A quantile level as a column heading."""
    return f"{100 * level:g}%"


def names(words: list[str]) -> str:
    """Words in a row, as in a sentence.

    Example:
        >>> names(["a", "b", "c"])
        'a, b and c'
    """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
