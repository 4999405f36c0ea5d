"""What to try where a check failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pavi.diagnostics.course import Course
from pavi.diagnostics.tails import GlobalTail, Grade, LevelTails

FREE = "FreeEncodings"


def advice(
    *,
    elbo_is_finite: bool,
    course: Course | None,
    globals_: GlobalTail | None,
    levels: Sequence[LevelTails],
    guide: Mapping[str, Any],
) -> tuple[str, ...]:
    """What to try, the cheapest first.

    Args:
        elbo_is_finite: Whether the ELBO is a number.
        course: The end of the course of the fit.
        globals_: The weights of the sites without plates.
        levels: The weights of the rows of every level.
        guide: How the guide was built, as `Guide.config` says.
    """
    lines = []
    if not elbo_is_finite:
        lines.append("Some draws have no finite density: tighten priors, standardise covariates.")
    if course is not None and course.rising:
        lines.append("More steps: pavi.fit(..., steps=) with at least twice as many.")
    if course is not None and course.falling:
        lines.append(
            "A smaller learning rate: optimization=pavi.Optimization(learning_rate=0.01)."
        )
    if course is not None and course.hidden:
        lines.append("Larger batches (batch=), which make the course of the ELBO readable.")
    if globals_ is not None and globals_.noisy:
        lines.append("More inner draws: check(inner=) with four times as many, then judge again.")
    poor = [site for level in levels if level.grade is Grade.POOR for site in level.sites]
    if globals_ is not None and globals_.grade is Grade.POOR and not globals_.noisy:
        lines += _globals(globals_.blamed, guide)
    if poor:
        lines += _rows(poor, guide)
    if poor or (globals_ is not None and globals_.grade is Grade.POOR):
        lines.append(
            "Models with several modes: a start at a point estimate, "
            "warm_up=pavi.WarmUp((pavi.objectives.MAP(until=0.1),))."
        )
    return tuple(lines)


def _globals(sites: Sequence[str], guide: Mapping[str, Any]) -> list[str]:
    lines = ["For the globals: more steps, or flow=pavi.MAFFlow(), which bends and correlates."]
    if sites:
        named = ", ".join(f'"{site}": pavi.NSFFlow()' for site in sites)
        lines = [
            f"For {', '.join(sites)}: more steps, or splines, which follow long tails, at a "
            f"smaller rate: flows={{{named}}}, "
            "optimization=pavi.Optimization(learning_rate=0.01, table_rate=0.03)."
        ]
    if guide.get("dependence") in ("parents", "none"):
        lines.insert(0, 'dependence="faithful", so that sites follow all that data tie them to.')
    return lines


def _rows(sites: Sequence[str], guide: Mapping[str, Any]) -> list[str]:
    encodings = guide.get("encodings")
    kind = encodings.get("kind") if isinstance(encodings, Mapping) else None
    named = ", ".join(f'"{site}": pavi.MAFFlow()' for site in sites)
    lines = [f"For the rows: more steps, or another flow, flows={{{named}}}."]
    if kind not in (None, FREE, "HybridEncodings"):
        lines.insert(
            0,
            "Encodings computed from data leave an amortization gap: "
            "encodings=pavi.HybridEncodings() closes it.",
        )
    return lines
