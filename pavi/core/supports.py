"""The supports of sites in words, for tables that people read."""

from __future__ import annotations

from torch.distributions import constraints

# As torch writes them.
WORDS = {
    "Real()": "real",
    "GreaterThanEq(lower_bound=0.0)": "\N{GREATER-THAN OR EQUAL TO} 0",
    "GreaterThan(lower_bound=0.0)": "> 0",
    "Boolean()": "0 or 1",
    "IntegerGreaterThan(lower_bound=0)": "0, 1, 2, ...",
    "Interval(lower_bound=0.0, upper_bound=1.0)": "0 to 1",
    "Simplex()": "parts of 1",
    "CorrCholesky()": "correlations",
}


def in_words(support: constraints.Constraint | None) -> str:
    """A support in few words, or as torch writes it where there are none.

    Args:
        support: The support; None of a covariate, which has none. Of an array whose entries are
            free of each other it is that of an entry.

    Example:
        >>> in_words(constraints.positive), in_words(constraints.simplex), in_words(None)
        ('> 0', 'parts of 1', '')
        >>> in_words(constraints.independent(constraints.real, 1))
        'real'
    """
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return "" if support is None else WORDS.get(str(support), str(support))
