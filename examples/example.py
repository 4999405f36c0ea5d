"""What every example has in common: fit, compare with a reference, draw, write."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

from matplotlib.figure import Figure
from rich.console import Console

from examples.marginals import marginals
from examples.reference import Reference, kept_reference
from examples.table import write_table
from experiments.provenance import ROOT, command_line, provenance
from pavi import HierarchicalModel, PlateData, Posterior
from pavi.interop import Comparison, compare

RESULTS = ROOT / "results" / "examples"


@final
@dataclass(frozen=True)
class Example:
    """A data set, a model, and how it is fitted and drawn.

    Args:
        name: Of the example, and of its files.
        title: One line for the table.
        model: The template.
        data: Reads the data for a template.
        fit: From template, data, steps and seed to a posterior.
        figure: From a posterior to a figure.
        steps: Of the fit.
        nuts: Further arguments of `reference_posterior`.
        reference: Stored reference draws, in place of new ones.
    """

    name: str
    title: str
    model: Callable[[], HierarchicalModel]
    data: Callable[[HierarchicalModel], PlateData]
    fit: Callable[..., Posterior]
    figure: Callable[[Posterior], Figure]
    steps: int
    nuts: Mapping[str, Any] = field(default_factory=dict)
    reference: Callable[[], Reference] | None = None


def main(example: Example, arguments: Sequence[str] | None = None) -> None:
    """Run one example from the command line."""
    module = f"examples.{example.name}"
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=example.title)
    parser.add_argument("--steps", type=int, default=example.steps, help="of the fit")
    add_options(parser)
    given = parser.parse_args(arguments)
    # Before any result is overwritten, which would make the working tree dirty.
    command = command_line(module, sys.argv[1:] if arguments is None else arguments)
    origin = provenance(seed=given.seeds, command=command)
    run(
        example,
        steps=given.steps,
        seeds=given.seeds,
        out=given.out,
        fresh=given.fresh,
        origin=origin,
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what one example and all of them take alike."""
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2], metavar="SEED", help="a fit of each"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="a folder")
    parser.add_argument(
        "--fresh", action="store_true", help="draw the reference again, instead of the kept one"
    )


def run(
    example: Example,
    *,
    steps: int,
    seeds: Sequence[int],
    out: Path,
    fresh: bool,
    origin: Mapping[str, object],
) -> None:
    """Fit, compare and draw; write `NAME.png`, `NAME.json` and the table of all examples.

    Figures are of the first seed. Where draws of the reference are kept, `NAME-globals.png` shows
    its marginals beside ours.

    Args:
        example: The example.
        steps: Of each fit.
        seeds: Of the fits.
        out: A folder.
        fresh: Whether to draw the reference again.
        origin: Where the results come from, see `provenance`.
    """
    model = example.model()
    data = example.data(model)
    reference = (
        example.reference()
        if example.reference is not None
        else kept_reference(example.name, model, data, fresh=fresh, settings=example.nuts)
    )
    console = Console()
    out.mkdir(parents=True, exist_ok=True)
    fits = []
    for seed in seeds:
        began, spent = time.perf_counter(), time.process_time()
        posterior = example.fit(model, data, steps=steps, seed=seed)
        seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - spent
        elbo = posterior.elbo(draws=512)
        comparison = compare(posterior, reference.moments, draws=20_000)
        console.print(comparison)
        verdict = "agrees" if comparison.agrees() else "DIFFERS"
        console.print(
            f"seed {seed}: fit {seconds:.0f} s, NUTS {reference.facts['seconds']:.0f} s; "
            f"ELBO {elbo.mean:,.2f} \N{PLUS-MINUS SIGN} {elbo.standard_error:.2f}; {verdict}"
        )
        if seed == seeds[0]:
            draw(example, posterior, reference, out=out)
        fits.append(
            {
                "seed": seed,
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "elbo": elbo.mean,
                "elbo_se": elbo.standard_error,
                "agrees": comparison.agrees(),
                **_plain(comparison),
            }
        )
    result = {
        "title": example.title,
        "rows": dict(data.cardinalities),
        "latents": model.num_latents(data.cardinalities),
        "steps": steps,
        "reference": dict(reference.facts),
        "fits": fits,
        "provenance": dict(origin),
    }
    (out / f"{example.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    write_table(out)
    console.print(f"{example.name}.png, {example.name}.json and README.md are in {out}")


def draw(example: Example, posterior: Posterior, reference: Reference, *, out: Path) -> None:
    """The figures of one fit.

    Args:
        example: The example.
        posterior: The fit.
        reference: By NUTS.
        out: A folder.
    """
    example.figure(posterior).savefig(out / f"{example.name}.png", dpi=150)
    if reference.draws:
        drawn = posterior.sample(*reference.draws, draws=20_000)
        marginals(drawn, reference.draws).savefig(out / f"{example.name}-globals.png", dpi=150)


def _plain(comparison: Comparison) -> dict[str, Any]:
    rows = {
        name: {**asdict(row), "z": row.z, "sd_ratio": row.sd_ratio}
        for name, row in comparison.globals.items()
    }
    return {
        "globals": rows,
        "plates": {name: asdict(row) for name, row in comparison.plates.items()},
    }
