"""Plates: the i.i.d. repetitions of a template model, and how they lie within one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import final


@final
@dataclass(frozen=True)
class Plate:
    """An i.i.d. repetition.

    A plate without `within` is *dense*: an axis of the arrays. With `within` it is *indexed*: a
    table of rows, each of which points to one row of every plate it lies within. One name makes a
    (ragged) nest, several make a sparse crossing.

    Args:
        name: The name that sites use.
        within: The plate or plates that each row points to.

    Example:
        >>> Plate("school", within="lea").within
        ('lea',)
    """

    name: str
    within: str | tuple[str, ...] = ()

    def __post_init__(self) -> None:
        within = (self.within,) if isinstance(self.within, str) else tuple(self.within)
        object.__setattr__(self, "within", within)
        if not self.name.isidentifier():
            raise ValueError(
                f"plate {self.name!r}: a name must be a Python identifier, so that it can be "
                "an argument of Posterior.sample."
            )


@final
class PlateGraph(Mapping[str, Plate]):
    """The plates of a model by name, coarser plates first.

    Args:
        plates: The plates in any order.

    Raises:
        ValueError: If a name occurs twice, a plate lies within an unknown one, or the plates
            lie within one another in a circle.
    """

    def __init__(self, plates: Sequence[Plate]) -> None:
        named = {plate.name: plate for plate in plates}
        if len(named) < len(plates):
            names = [plate.name for plate in plates]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise ValueError(f"plates must have distinct names; given twice: {twice}.")
        for plate in plates:
            for parent in plate.within:
                if parent not in named:
                    raise ValueError(
                        f"plate {plate.name!r} lies within {parent!r}, which is not a plate; "
                        f"plates are {sorted(named)}."
                    )
        try:
            order = TopologicalSorter({p.name: p.within for p in plates}).static_order()
            self._plates = {name: named[name] for name in order}
        except CycleError as error:
            circle = " -> ".join(error.args[1])
            raise ValueError(f"plates lie within one another in a circle: {circle}.") from None

    def __getitem__(self, name: str) -> Plate:
        return self._plates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plates)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._plates)

    def __len__(self) -> int:
        return len(self._plates)

    @cached_property
    def _ancestors(self) -> dict[str, frozenset[str]]:
        found: dict[str, frozenset[str]] = {}
        for name, plate in self.items():
            found[name] = frozenset(plate.within).union(*(found[p] for p in plate.within))
        return found

    def ancestors(self, name: str) -> frozenset[str]:
        """All plates that `name` lies within, directly or not."""
        return self._ancestors[name]

    def descendants(self, name: str) -> frozenset[str]:
        """All plates that lie within `name`, directly or not."""
        return frozenset(p for p in self if name in self._ancestors[p])

    def children(self, name: str) -> tuple[str, ...]:
        """The plates that lie directly within `name`."""
        return tuple(p for p in self if name in self[p].within)

    def closure(self, names: Sequence[str]) -> frozenset[str]:
        """`names` and all they lie within: what a site on these plates may use."""
        return frozenset(names).union(*(self._ancestors[name] for name in names))

    def route(self, fine: str, coarse: str) -> tuple[str, ...]:
        """The plates passed on the way from `fine` up to `coarse`, both included.

        Raises:
            ValueError: If there are several ways, so that a row of `fine` may belong to two
                rows of `coarse`.
        """
        routes = self._routes(fine, coarse)
        if len(routes) > 1:
            ways = " and ".join(" -> ".join(route) for route in routes)
            raise ValueError(
                f"plate {fine!r} lies within {coarse!r} in more than one way ({ways}), so a row "
                f"has no single row of {coarse!r}; give each way a plate of its own."
            )
        return routes[0]

    def check_names(self, cardinalities: Mapping[str, int]) -> None:
        """See that only plates have a cardinality.

        Raises:
            ValueError: If another name has one.
        """
        if unknown := sorted(cardinalities.keys() - self.keys()):
            raise ValueError(
                f"cardinalities name {unknown}, which are not plates; plates are {list(self)}."
            )

    def _routes(self, fine: str, coarse: str) -> list[tuple[str, ...]]:
        if fine == coarse:
            return [(fine,)]
        parents = [p for p in self[fine].within if p == coarse or coarse in self._ancestors[p]]
        return [(fine, *rest) for p in parents for rest in self._routes(p, coarse)]
