"""The page with what the race found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.peers.course import LEVELS
from benchmarks.peers.entrants import CELLS, LARGE, NUTS, NUTS_CAP, RACE_CAP, Cell
from experiments.tables import Row, markdown

DASH = "\N{EN DASH}"
Found = Mapping[tuple[str, str], dict[str, Any] | None]
RACE = f"""# Seconds to a gap, beside Pyro and NumPyro

`python -m benchmarks.peers.race --python peers/bin/python`, in processes that ran one after the
other on the same machine. The data are the same for all: Gaussian random effects (50 observations
of 2 dimensions a group), hierarchical variances (63 latents), Chem97 (2,546 latents). A gap is
that to the log evidence, in nats per latent: exact on GRE and Chem97, of the best bound on record
on HV. Peers take full batches and independent Gaussians that start at the prior's means; their
gaps are exact, and a level is reached the first time. Ours are estimates, and a level is reached
when the gap falls below it for good.

`whole`: from the start of the interpreter. `training`: after start and compilation. Neither counts
the measurement of gaps. A dash where the level was not reached in the steps of the setting or in
{RACE_CAP} seconds of training. Learning rates fall along a cosine. Rate, draws and steps were
chosen per method, problem and size by the same search, below; at 300,000 groups they are those of
30,000."""
CHAINS = f"""## NUTS

NumPyro, one chain after 500 steps of warm-up, in double precision: seconds until every global has
an effective sample size of 400; a dash where {NUTS_CAP} seconds of sampling were not enough."""
SEARCH = f"""## The search

Three rates with one and four draws, then the best with half and twice the steps, which began at
500 for PAVI-E and 1,000 for the others. A trial takes at most {CELLS[0].search_cap} seconds of the
processor, {LARGE.search_cap} at {LARGE.groups:,} groups, and no longer than the fastest so far.
Seconds to the levels are those of the processor, over all cores."""


def page(found: Found, searches: Found) -> str:
    """The page in Markdown.

    Args:
        found: Per method and cell, what a run ended with; None if it failed.
        searches: Per method and cell, what the search ended with.
    """
    fits = [race_row(*key, line) for key, line in found.items() if key[0] != NUTS.name]
    chains = [chain_row(cell, line) for (name, cell), line in found.items() if name == NUTS.name]
    trials = [row for key, line in searches.items() if line for row in trial_rows(*key, line)]
    parts = [markdown(fits, caption=RACE)]
    parts += [markdown(rows, caption=text) for rows, text in ((chains, CHAINS),) if rows]
    parts += [markdown(rows, caption=text) for rows, text in ((trials, SEARCH),) if rows]
    return "\n".join(parts)


def race_row(method: str, cell: str, line: dict[str, Any] | None) -> Row:
    """A fit; whole process and training to each level."""
    line = line or {"training": {}, "before": 0.0, "gap_per_latent": None}
    training, before = line["training"], line["before"]
    row: Row = {**_cell(cell), "method": method}
    for level in LEVELS:
        reached = training.get(f"{level:g}")
        row[f"whole to {level:g}"] = _seconds(reached, before)
        row[f"training to {level:g}"] = _seconds(reached, 0.0)
    return row | {"last gap": _gap(line)} | _setting(line)


def chain_row(cell: str, line: dict[str, Any] | None) -> Row:
    """A chain of NUTS."""
    line = line or {"reached": False, "before": 0.0, "seconds": 0.0}
    reached = line["seconds"] if line["reached"] else None
    return {
        **_cell(cell),
        "whole": _seconds(reached, line["before"]),
        "sampling": _seconds(reached, 0.0),
        "draws": line.get("draws"),
        "effective sample size": line.get("effective_sample_size"),
        "divergences": line.get("divergences"),
    }


def trial_rows(method: str, cell: str, line: dict[str, Any]) -> list[Row]:
    """The trials of a search, the chosen one marked."""
    rows = []
    for trial in line["trials"]:
        chosen = all(trial[key] == value for key, value in line["chosen"].items())
        levels = {
            f"to {level:g}": _seconds(trial["training"].get(f"{level:g}"), 0.0) for level in LEVELS
        }
        row: Row = {**_cell(cell), "method": method, **_setting(trial), **levels}
        rows.append(row | {"last gap": _gap(trial), "chosen": "yes" if chosen else ""})
    return rows


def _cell(name: str) -> Row:
    (cell,) = (cell for cell in CELLS if cell.name == name)
    return {"problem": cell.problem, "groups": _groups(cell)}


def _groups(cell: Cell) -> str:
    return "" if cell.groups is None else f"{cell.groups:,}"


def _setting(line: Mapping[str, Any]) -> Row:
    return {name: line.get(name) for name in ("rate", "draws", "steps")}


def _seconds(reached: float | None, before: float) -> str:
    return DASH if reached is None else f"{reached + before:.2f}"


def _gap(line: Mapping[str, Any]) -> str:
    gap = line["gap_per_latent"]
    return DASH if gap is None else f"{gap:.2g}"
