"""Whether a fit can be trusted."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace

from rich.console import Console

from pavi.cli.remedies import CommandRemedies
from pavi.cli.stored_fit import is_slow, opened


def run(given: Namespace) -> None:
    """Print every check with its verdict, then what to try."""
    folder = opened(given)
    posterior = folder.posterior(data=folder.data(given.data))
    found = posterior.check(
        draws=given.draws,
        inner=given.inner,
        seed=given.seed,
        progress=not given.quiet and is_slow(posterior),
    )
    Console().print(replace(found, remedies=CommandRemedies()))
