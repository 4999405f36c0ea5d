"""Figures of fits and group effects, and how every figure is saved, by matplotlib's objects."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from PIL import Image  # which matplotlib needs too

from pavi.files import whole_file

BLUE, RED, GREY, INK = "#2c6fad", "#b8402a", "0.72", "0.15"
MINUS = "\N{MINUS SIGN}"
DPI = 300


def elbo_curve(history: Mapping[str, Sequence[float]], *, final: float) -> Figure:
    """The course of a fit: how far each step's ELBO lies from the final one, on a log scale.

    Args:
        history: The lists `steps`, `seconds` and `elbo`, in nats.
        final: The ELBO of the fitted guide on all data.
    """
    steps, seconds = history["steps"], history["seconds"]
    figure, axes = distance_course(history, final)
    axes.yaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlim(0, 1.02 * steps[-1])
    axes.set_xlabel(f"Step ({steps[-1]:,} steps in {seconds[-1]:.0f} s)")
    axes.set_ylabel("Distance to the final ELBO (nats)")
    total = f"{final:,.1f}".replace("-", MINUS)
    title = f"ELBO of a step, against the final\nELBO on all data, {total} nats"
    axes.legend(title=title, alignment="left", frameon=False)
    return figure


def distance_course(history: Mapping[str, Sequence[float]], level: float) -> tuple[Figure, Axes]:
    """How far the ELBO of every step lies from a level, on a log scale; its side by the colour.

    Args:
        history: The lists `steps` and `elbo`, in nats.
        level: In nats.
    """
    steps, below = np.asarray(history["steps"]), level - np.asarray(history["elbo"])
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, np.abs(below), color=GREY, lw=0.8, zorder=1)
    for chosen, color, label in ((below >= 0, BLUE, "below"), (below < 0, RED, "above")):
        if chosen.any():
            distance = np.abs(below[chosen])
            axes.scatter(steps[chosen], distance, s=8, color=color, label=label, zorder=2)
    axes.set_yscale("log")
    axes.set_xlabel("Step")
    _plain(axes)
    return figure, axes


def caterpillar(
    mean: np.ndarray, low: np.ndarray, high: np.ndarray, *, groups: str, unit: str
) -> Figure:
    """Group effects in ascending order, with intervals; those that exclude zero in colour.

    Args:
        mean: Posterior means, one per group.
        low: The 5% quantiles.
        high: The 95% quantiles.
        groups: What the groups are called.
        unit: Of the effect.
    """
    order = np.argsort(mean)
    mean, low, high = mean[order], low[order], high[order]
    rank = np.arange(1, len(mean) + 1)
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    axes = figure.add_subplot()
    axes.axhline(0, color=INK, lw=0.6, zorder=1)
    # In one collection, in the order of the ranks: where neighbours share a pixel no colour wins.
    side = np.where(low > 0, 0, np.where(high < 0, 2, 1))
    colors = (BLUE, GREY, RED)
    ends = [[(r, a), (r, b)] for r, a, b in zip(rank, low, high, strict=True)]
    chosen = [colors[k] for k in side]
    axes.add_collection(LineCollection(ends, colors=chosen, linewidths=0.25, zorder=2))
    labels = ("interval above zero", "interval contains zero", "interval below zero")
    handles = [
        Line2D([], [], color=color, lw=3, label=f"{label} ({(side == k).sum():,})")
        for k, (color, label) in enumerate(zip(colors, labels, strict=True))
    ]
    handles += axes.plot(rank, mean, color=INK, lw=1.2, zorder=3, label="posterior mean")
    axes.legend(handles=handles, loc="upper left", frameon=False)
    axes.set_xlim(-0.01 * len(mean), 1.01 * len(mean))
    margin = 0.04 * (high.max() - low.min())
    axes.set_ylim(low.min() - margin, high.max() + margin)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _signed(value)))
    axes.set_xlabel(f"{len(mean):,} {groups}, in the order of their posterior mean")
    axes.set_ylabel(f"Effect with 90% interval ({unit})")
    _plain(axes)
    return figure


def save(figure: Figure, path: Path, *, dpi: int = DPI, colors: int | None = None) -> None:
    """Write a figure.

    Args:
        figure: The figure.
        path: Where to; the ending gives the format.
        dpi: Of a bitmap, and of the parts of a vector format that are one.
        colors: The size of the palette of a PNG; every colour of its own by default. A map of a
            hundred thousand triangles takes a quarter of the bytes with 256.
    """
    form = path.suffix.removeprefix(".")
    if colors is not None and form == "png":
        drawn = io.BytesIO()
        figure.savefig(drawn, format=form, dpi=dpi)
        save_with_palette(drawn, path, colors=colors, dpi=(dpi, dpi))
        return
    with whole_file(path, binary=True) as stream:
        figure.savefig(stream, format=form, dpi=dpi)


def save_with_palette(png: IO[bytes], path: Path, *, colors: int, **options: Any) -> None:
    """Write a bitmap with a palette of so many colours.

    Args:
        png: What holds the bitmap.
        path: Where to.
        colors: The size of the palette, at most 256.
        **options: What else the file says, as `PIL.Image.Image.save` takes it.
    """
    image = Image.open(png).convert("RGB")
    # Without dithering, which would speckle areas of one colour.
    drawn = image.quantize(colors, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    with whole_file(path, binary=True) as stream:
        drawn.save(stream, "PNG", optimize=True, **options)


def _signed(value: float) -> str:
    return f"{value:+g}".replace("-", MINUS) if value else "0"


def _plain(axes: Axes) -> None:
    """Only the axes that carry numbers."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=9)
