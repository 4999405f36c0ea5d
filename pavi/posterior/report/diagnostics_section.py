"""The part of a report that says whether to trust the posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from pavi.posterior.report.page import Section, Verbatim

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

WIDTH = 88  # characters


def diagnostics_section(posterior: Posterior) -> Section | None:
    """What `posterior.check()` says; None where posteriors have no such method."""
    check = getattr(posterior, "check", None)
    if check is None:
        return None
    console = Console(width=WIDTH, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(check())
    lines = [line.rstrip() for line in capture.get().rstrip().splitlines()]
    return Section("Diagnostics", [Verbatim("\n".join(lines))])
