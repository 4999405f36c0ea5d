"""What to try where a check failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pavi.diagnostics.course import Course
from pavi.diagnostics.remedies import Remedies
from pavi.diagnostics.tails import GlobalTail, Grade, LevelTails

FREE = "FreeEncodings"


def advice(
    *,
    elbo_is_finite: bool,
    course: Course | None,
    globals_: GlobalTail | None,
    levels: Sequence[LevelTails],
    guide: Mapping[str, Any],
    remedies: Remedies,
) -> tuple[str, ...]:
    """What to try, the cheapest first.

    Args:
        elbo_is_finite: Whether the ELBO is a number.
        course: The end of the course of the fit.
        globals_: The weights of the sites without plates.
        levels: The weights of the rows of every level.
        guide: How the guide was built, as `Guide.config` says.
        remedies: How to ask for what may help.
    """
    lines = []
    if not elbo_is_finite:
        lines.append("Some draws have no finite density: tighten priors, standardise covariates.")
    if course is not None and course.rising:
        lines.append(f"More steps: {remedies.steps()} with at least twice as many.")
    if course is not None and course.falling:
        lines.append(f"A smaller learning rate: {remedies.rate(tables=True)}.")
    if course is not None and course.hidden:
        lines.append(
            f"Larger batches ({remedies.batch()}), which make the course of the ELBO readable."
        )
    if course is not None and (course.rising or course.falling) and levels:
        lines.append(
            f"Larger batches ({remedies.batch()}) if a step sees few of the rows: each is updated "
            "more often, and the gradients of the globals are less noisy."
        )
    if globals_ is not None and globals_.noisy:
        lines.append(
            f"More inner draws: {remedies.inner()} with four times as many, then judge again."
        )
    poor = [site for level in levels if level.grade is Grade.POOR for site in level.sites]
    if globals_ is not None and globals_.grade is Grade.POOR and not globals_.noisy:
        lines += _globals(globals_.blamed, guide, remedies)
    if poor:
        lines += _rows(poor, guide, remedies)
    if poor or (globals_ is not None and globals_.grade is Grade.POOR):
        lines.append(
            f"Models with several modes: a start at a point estimate, {remedies.point_estimate()}."
        )
    return tuple(lines)


def _globals(sites: Sequence[str], guide: Mapping[str, Any], remedies: Remedies) -> list[str]:
    bend = remedies.flow("maf")
    lines = [f"For the globals: {bend}, which bends and correlates, or more steps."]
    if sites:
        lines = [
            f"For {', '.join(sites)}: splines, which follow long tails, at a smaller rate, "
            f"{remedies.flow('nsf', sites)}, {remedies.rate(tables=False)}, or more steps."
        ]
    if guide.get("dependence") in ("parents", "none"):
        lines.insert(0, f"{remedies.faithful()}, so that sites follow all that data tie them to.")
    return lines


def _rows(sites: Sequence[str], guide: Mapping[str, Any], remedies: Remedies) -> list[str]:
    encodings = guide.get("encodings")
    kind = encodings.get("kind") if isinstance(encodings, Mapping) else None
    lines = [f"For the rows: another flow, {remedies.flow('maf', sites)}, or more steps."]
    if kind not in (None, FREE, "HybridEncodings"):
        lines.insert(
            0,
            "Encodings computed from data leave an amortization gap: "
            f"{remedies.hybrid()} closes it.",
        )
    return lines
