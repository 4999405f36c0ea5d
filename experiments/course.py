r"""The course of a run, drawn for its log.

An ELBO bounds the log evidence from below, :math:`\mathrm{ELBO}_t \le \log p(x)`, so where the
evidence is known their difference, the gap, is the Kullback-Leibler divergence of the guide from
the posterior. The ELBO of a step is an estimate from one batch: it may lie on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from experiments.figures import BLUE, INK, distance_course

DPI = 100


def elbo_figure(history: Mapping[str, Sequence[float]], *, evidence: float | None) -> Figure:
    """The ELBO of the steps of a run; its lowest tenth is cut off, so that the end can be read.

    Args:
        history: The lists `steps` and `elbo`, in nats.
        evidence: The log evidence, as a line, where it is known.
    """
    steps, elbo = np.asarray(history["steps"]), np.asarray(history["elbo"])
    figure = Figure(figsize=(6.4, 3.8), layout="constrained", dpi=DPI)
    axes = figure.add_subplot()
    axes.plot(steps, elbo, color=BLUE, lw=1, label="ELBO of a step")
    top = elbo.max() if evidence is None else max(float(elbo.max()), evidence)
    low = np.quantile(elbo, 0.1)
    if top > low:
        axes.set_ylim(low - 0.05 * (top - low), top + 0.05 * (top - low))
    if evidence is not None:
        axes.axhline(evidence, color=INK, lw=0.8, ls="--", label="log evidence")
    axes.legend(frameon=False, loc="lower right")
    axes.set_xlabel("Step")
    axes.set_ylabel("ELBO (nats)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def gap_figure(history: Mapping[str, Sequence[float]], *, evidence: float, gap: float) -> Figure:
    """The distance of the ELBO of every step to the log evidence, on a log scale.

    Args:
        history: The lists `steps` and `elbo`, in nats.
        evidence: The log evidence.
        gap: The gap of the fitted guide on all data, as a line.
    """
    figure, axes = distance_course(history, evidence)
    figure.set_dpi(DPI)
    if gap > 0:
        axes.axhline(gap, color=INK, lw=0.8, ls="--", label="the fitted guide on all data, below")
    axes.legend(title="ELBO of a step", alignment="left", frameon=False)
    axes.set_ylabel("Distance to the log evidence (nats)")
    return figure


def course_figures(
    history: Mapping[str, Sequence[float]], metrics: Mapping[str, float]
) -> dict[str, Figure]:
    """The figures of a run: the course of its ELBO and, where there is one, of its gap.

    Args:
        history: The lists `steps` and `elbo`, in nats.
        metrics: Of the run, with `log_evidence` and `gap` where they are known.
    """
    evidence = metrics.get("log_evidence")
    figures = {"elbo": elbo_figure(history, evidence=evidence)}
    if evidence is not None:
        figures["gap"] = gap_figure(history, evidence=evidence, gap=metrics["gap"])
    return figures
