"""The demo: fit the three-level school model to Chem97 and draw its figures.

python -m experiments.demo
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

import pavi
from experiments.problems import chem97
from experiments.problems.reference import load_reference
from pavi.posterior import Summary


def main() -> None:
    """Fit, compare with NUTS, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("results/chem97"))
    parser.add_argument("--steps", type=int, default=1000)
    arguments = parser.parse_args()
    model = chem97.model()
    data = chem97.data(model)
    model.describe(data.cardinalities)
    start = time.perf_counter()
    posterior = pavi.fit(model, data, steps=arguments.steps)
    seconds = time.perf_counter() - start
    summary = posterior.summary(draws=4000)
    Console().print(beside_nuts(summary), f"fit in {seconds:.0f} s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    elbo_figure(posterior).savefig(arguments.out / "elbo.png", dpi=150)
    caterpillar(summary).savefig(arguments.out / "schools.png", dpi=150)
    model.graph(arguments.out / "model.png", cardinalities=data.cardinalities)
    Console().print(f"figures in {arguments.out}")


def beside_nuts(summary: Summary) -> Table:
    """Means and standard deviations of the globals beside the NUTS reference."""
    table = Table(title="Chem97", title_justify="left")
    columns = ("", "mean", "sd", "NUTS mean", "NUTS sd", "difference / NUTS sd", "sd / NUTS sd")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    for name, (mean, sd) in load_reference("chem97").globals.items():
        ours, width = float(summary.mean[name]), float(summary.sd[name])
        cells = (ours, width, mean, sd, (ours - mean) / sd, width / sd)
        table.add_row(name, *(f"{cell:.3f}" for cell in cells))
    return table


def elbo_figure(posterior: pavi.Posterior) -> Figure:
    """The ELBO over the steps, without the climb of the first tenth."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    skip = len(posterior.history["steps"]) // 10
    axes.plot(posterior.history["steps"][skip:], posterior.history["elbo"][skip:])
    axes.set_xlabel("step")
    axes.set_ylabel("ELBO (nats)")
    return figure


def caterpillar(summary: Summary) -> Figure:
    """School effects in ascending order with their 90% intervals."""
    mean = summary.mean["school_effect"]
    low, _, high = summary.quantiles["school_effect"]
    order = mean.argsort()
    figure = Figure(figsize=(8, 3.5), layout="constrained")
    axes = figure.subplots()
    rank = range(len(order))
    axes.vlines(rank, low[order], high[order], color="0.75", lw=0.4, label="90% interval")
    axes.plot(rank, mean[order], ".", ms=1.5, label="posterior mean")
    axes.axhline(0.0, color="black", lw=0.5)
    axes.set_xlabel("school, by rank")
    axes.set_ylabel("effect on the A-level score (points)")
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    main()
