"""What may help a fit, in the options of the command line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from pavi.diagnostics import PythonRemedies, Remedies
from pavi.diagnostics.remedies import SLOW, TABLES


@final
class CommandRemedies(Remedies):
    """The options of `pavi fit` and of `pavi check`."""

    def steps(self) -> str:
        """See `Remedies.steps`."""
        return "--steps"

    def rate(self, *, tables: bool) -> str:
        """See `Remedies.rate`."""
        return f"--learning-rate {SLOW:g}" + ("" if tables else f" --table-rate {TABLES:g}")

    def batch(self) -> str:
        """See `Remedies.batch`."""
        return "--batch PLATE=ROWS"

    def inner(self) -> str:
        """See `Remedies.inner`."""
        return "pavi check --inner"

    def flow(self, kind: str, sites: Sequence[str] = ()) -> str:
        """See `Remedies.flow`."""
        return " ".join(f"--flow {site}={kind}" for site in sites) or f"--flow {kind}"

    def hybrid(self) -> str:
        """See `Remedies.hybrid`."""
        return "--encodings hybrid"

    def faithful(self) -> str:
        """See `Remedies.faithful`: what the command line fits always is."""
        return f"in Python, {PythonRemedies().faithful()}"

    def point_estimate(self) -> str:
        """See `Remedies.point_estimate`: an object, which needs Python."""
        return f"in Python, {PythonRemedies().point_estimate()}"
