"""Means, spreads and quantiles, on the screen or in a file."""

from __future__ import annotations

import csv
from argparse import Namespace

from rich.console import Console

from pavi.cli.arguments import new_file
from pavi.cli.stored_fit import is_slow, loaded, opened
from pavi.files import whole_file


def run(given: Namespace) -> None:
    """Print them, a few rows of each site, or write those of all rows to a file."""
    posterior = loaded(opened(given), data_file=given.data)
    out = new_file(given)
    progress = not given.quiet and is_slow(posterior)
    summary = posterior.summary(*given.site, draws=given.draws, seed=given.seed, progress=progress)
    if out is None:
        Console().print(summary)
        return
    with whole_file(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        quantiles = [f"{100 * level:g}%" for level in summary.levels]
        writer.writerow(["variable", "mean", "sd", *quantiles])
        for site in summary.mean:
            writer.writerows(
                [name, *(f"{value:.9g}" for value in values)]
                for name, values in summary.rows(site)
            )
