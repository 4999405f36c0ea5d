"""What to try is the same everywhere; how it is asked for depends on where one stands."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

SLOW, TABLES = 0.01, 0.03  # learning rates that are worth a try where the default is too large


class Remedies(ABC):
    """How to ask for what may help, as parts of sentences.

    A concrete class names its own options, and for what it has none of, those of Python.
    """

    @abstractmethod
    def steps(self) -> str:
        """A longer fit."""

    @abstractmethod
    def rate(self, *, tables: bool) -> str:
        """A smaller learning rate, of the encoding tables too or not."""

    @abstractmethod
    def batch(self) -> str:
        """More rows in a step."""

    @abstractmethod
    def inner(self) -> str:
        """More draws of a level below, in a check."""

    @abstractmethod
    def flow(self, kind: str, sites: Sequence[str] = ()) -> str:
        """Another flow: `"maf"` or `"nsf"`, of some sites or of all."""

    @abstractmethod
    def hybrid(self) -> str:
        """Computed encodings with a free part."""

    @abstractmethod
    def faithful(self) -> str:
        """Flows that see all that data tie their site to."""

    @abstractmethod
    def point_estimate(self) -> str:
        """A start at a mode."""


@final
class PythonRemedies(Remedies):
    """The arguments of `pavi.fit` and of `Posterior.check`."""

    def steps(self) -> str:
        """See `Remedies.steps`."""
        return "pavi.fit(..., steps=)"

    def rate(self, *, tables: bool) -> str:
        """See `Remedies.rate`."""
        rates = f"learning_rate={SLOW:g}" + ("" if tables else f", table_rate={TABLES:g}")
        return f"optimization=pavi.Optimization({rates})"

    def batch(self) -> str:
        """See `Remedies.batch`."""
        return "batch="

    def inner(self) -> str:
        """See `Remedies.inner`."""
        return "check(inner=)"

    def flow(self, kind: str, sites: Sequence[str] = ()) -> str:
        """See `Remedies.flow`."""
        name = f"pavi.{kind.upper()}Flow()"
        named = ", ".join(f'"{site}": {name}' for site in sites)
        return f"flows={{{named}}}" if sites else f"flow={name}"

    def hybrid(self) -> str:
        """See `Remedies.hybrid`."""
        return "encodings=pavi.HybridEncodings()"

    def faithful(self) -> str:
        """See `Remedies.faithful`."""
        return 'dependence="faithful"'

    def point_estimate(self) -> str:
        """See `Remedies.point_estimate`."""
        return "warm_up=pavi.WarmUp((pavi.objectives.MAP(until=0.1),))"
