"""The part of a report that shows how the fit went."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pavi.posterior.report.figures import course_figure
from pavi.posterior.report.numbers import PLUS_MINUS, aligned, short
from pavi.posterior.report.page import Block, Section, embedded

if TYPE_CHECKING:
    from pavi.metrics import ELBOEstimate
    from pavi.posterior.posterior import Posterior


def fit_section(posterior: Posterior, *, elbo: ELBOEstimate | None) -> Section | None:
    """The course of the ELBO; None where neither a course nor a value is known.

    Args:
        posterior: With its history, unless it was extended or conditioned without a fit.
        elbo: On all data, if the posterior has them.
    """
    history, blocks = posterior.history, list[Block]()
    if history.get("steps"):
        steps, seconds = history["steps"][-1], history["seconds"][-1]
        blocks.append(f"{steps:,} steps in {short(round(float(seconds), 1))} s.")
    if elbo is not None:
        error = elbo.standard_error
        value, error_text = aligned((elbo.mean, error), spread=min(error, 1.0))
        blocks.append(
            f"The ELBO on all data is {value} {PLUS_MINUS} {error_text} nats (standard error over "
            "draws). It bounds the log evidence from below: of two fits of one model to the same "
            "data, the one with the higher ELBO is closer."
        )
    if history.get("steps"):
        figure = course_figure(history, final=None if elbo is None else elbo.mean)
        blocks.append(
            embedded(
                figure,
                alt="Course of the ELBO over the steps of the fit.",
                caption="The ELBO of single steps, each from a batch and a few draws. A fit is "
                "long enough when the curve has been level for a while.",
            )
        )
    return Section("Fit", blocks) if blocks else None
