"""Sums over groups that no single part of the data holds whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import final

from torch import Tensor


@final
class IncompleteSumError(Exception):
    """A sum over a shared group is not known yet; the part at hand has added its share."""


@final
@dataclass
class Sweep:
    """Exact encodings of data that are read a part at a time.

    Some groups (a lecturer, where the parts are students) have rows in many parts. An encoder asks
    `total` for every sum over such groups, in a fixed order. A sum that is known is returned. One
    that is not takes the part's share, and the encoder stops, since all that follows depends on
    it; once every part has added its share, `advance` makes the sum known. So one pass over the
    parts is needed per sum, and memory is bounded by a part and the groups that parts share.

    Args:
        plates: The plates of which a part holds some rows only.
        over_ranks: The sum over ranks, where each of several has other parts; all of them then
            make the same passes.
    """

    plates: frozenset[str]
    over_ranks: Callable[[Tensor], Tensor] | None = None
    _known: list[Tensor] = field(default_factory=list)
    _partial: Tensor | None = None
    _asked: int = 0

    def shares(self, plates: tuple[str, ...]) -> bool:
        """Whether groups on these plates have rows in several parts."""
        return not self.plates & set(plates)

    def begin(self) -> None:
        """Start on a part."""
        self._asked = 0

    def total(self, part: Tensor) -> Tensor:
        """The sum over all parts.

        Raises:
            IncompleteSumError: If it is not known yet.
        """
        if self._asked < len(self._known):
            self._asked += 1
            return self._known[self._asked - 1]
        self._partial = part if self._partial is None else self._partial + part
        raise IncompleteSumError

    def advance(self) -> bool:
        """Note that every part has been seen; returns whether a sum was still missing."""
        if self._partial is None:
            return False
        whole = self._partial if self.over_ranks is None else self.over_ranks(self._partial)
        self._known.append(whole)
        self._partial = None
        return True
