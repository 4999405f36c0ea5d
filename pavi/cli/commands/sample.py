"""Draws, in a file."""

from __future__ import annotations

from argparse import Namespace

from rich.console import Console

from pavi.cli.arguments import new_file
from pavi.cli.draws_file import write_draws
from pavi.cli.stored_fit import loaded, opened


def run(given: Namespace) -> None:
    """Write draws to a file."""
    posterior = loaded(opened(given), data_file=given.data)
    out = new_file(given)
    assert out is not None
    lines = write_draws(
        posterior,
        given.site,
        out,
        draws=given.draws,
        seed=given.seed,
        progress=not given.quiet,
    )
    Console().print(f"{out} has {lines:,} lines below its header.", soft_wrap=True)
