"""Draws as a CSV file, one line per draw and row."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Sequence
from io import StringIO
from math import prod
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from pavi.data import PlateData
from pavi.files import whole_file
from pavi.posterior import Posterior
from pavi.posterior.checks import check_draws

BUDGET = 2**24  # how many numbers are held at a time


def write_draws(
    posterior: Posterior,
    sites: Sequence[str],
    path: Path,
    *,
    draws: int,
    seed: int,
    progress: bool,
) -> int:
    """Write joint draws of sites that lie on the same plates.

    The columns are `draw`, the labels of the plates with those above them, and the sites; a
    vector has the columns `name_0`, `name_1` and so on, as it has in data.

    Args:
        posterior: What to draw from.
        sites: The sites.
        path: The file.
        draws: The number of draws.
        seed: Of the draws; they are those of `Posterior.sample` where these are held at once.
        progress: Whether to show a bar.

    Returns:
        The number of lines below the header.

    Raises:
        ValueError: If the sites lie on different plates, or as `Posterior.sample`.
    """
    check_draws(draws)
    plates = _plates(posterior, sites)
    heads, prefixes = _labels(posterior.data, plates)
    shapes = {site: posterior.model.sites[site].event_shape for site in sites}
    names = [
        name
        for site in sites
        for name in (
            [f"{site}_{i}" for i in range(prod(shapes[site]))] if shapes[site] else [site]
        )
    ]
    with (
        whole_file(path) as stream,
        Progress(console=Console(file=sys.stderr), transient=True, disable=not progress) as bar,
    ):
        task = bar.add_task("draws", total=draws)
        csv.writer(stream, lineterminator="\n").writerow(["draw", *heads, *names])
        numbers = len(prefixes) * len(names)
        for first, block in _blocks(posterior, sites, draws=draws, seed=seed, numbers=numbers):
            for draw, values in enumerate(block, first):
                lines = [
                    f"{draw},{prefix}{','.join(map(_number, row))}\n"
                    for prefix, row in zip(prefixes, values.tolist(), strict=True)
                ]
                stream.writelines(lines)
                bar.advance(task)
    return draws * len(prefixes)


def _plates(posterior: Posterior, sites: Sequence[str]) -> tuple[str, ...]:
    """The plates that all sites lie on."""
    latents = posterior.model.latents
    if unknown := [site for site in sites if site not in latents]:
        raise ValueError(f"{unknown[0]!r} is not a latent site; these are {list(latents)}.")
    found = {site: tuple(posterior.model.sites[site].plates) for site in sites}
    if len(set(found.values())) > 1:
        told = ", ".join(f"{s} on {' and '.join(p) or 'none'}" for s, p in found.items())
        raise ValueError(
            f"sites of one file lie on the same plates, so that a line has a number of each; "
            f"got {told}. Write a file for each."
        )
    return next(iter(found.values()))


def _labels(data: PlateData, plates: Sequence[str]) -> tuple[list[str], list[str]]:
    """The plates with a column, and the beginning of each row's line."""
    graph = data.model.plates
    sizes = [data.cardinalities[plate] for plate in plates]
    columns: dict[str, list[str]] = {}
    places = np.indices(sizes).reshape(len(sizes), -1) if sizes else np.empty((0, 1), dtype=int)
    for plate, rows in zip(plates, places, strict=True):
        for each in [p for p in graph if p in graph.ancestors(plate)] + [plate]:
            reached = rows if each == plate else data.parent_rows(plate, each)[rows]
            names = data.labels.get(each)
            columns[each] = [str(row if names is None else names[row]) for row in reached.tolist()]
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if not columns:
        return [], [""]
    prefixes = []
    for cells in zip(*columns.values(), strict=True):
        stream.seek(0)
        stream.truncate()
        writer.writerow([*cells, ""])
        prefixes.append(stream.getvalue().removesuffix("\n"))
    return list(columns), prefixes


def _blocks(
    posterior: Posterior, sites: Sequence[str], *, draws: int, seed: int, numbers: int
) -> Iterator[tuple[int, np.ndarray]]:
    """Draws `(draws, rows, numbers)`, as many at a time as fit the budget, with their first."""
    size = max(1, min(draws, BUDGET // max(1, numbers)))
    for number, first in enumerate(range(0, draws, size)):
        count = min(size, draws - first)
        # A seed of its own for every block but the first.
        own = seed if not number else int(np.random.default_rng([seed, number]).integers(2**62))
        found = posterior.sample(*sites, draws=count, seed=own)
        values = {sites[0]: found} if len(sites) == 1 else found
        rows = prod(
            posterior.data.cardinalities[p] for p in posterior.model.sites[sites[0]].plates
        )
        flat = [values[site].reshape(count, rows, -1) for site in sites]
        yield first, torch.cat(flat, dim=-1).numpy()


def _number(value: float) -> str:
    """Nine digits, which tell single-precision numbers apart."""
    return f"{value:.9g}"
