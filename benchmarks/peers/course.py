"""The course of one fit of a peer: seconds of training until its gap falls to the levels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

LEVELS = (0.05, 0.005)
Clock = Callable[[], float]


def stride(size: int) -> int:
    """Steps between two measurements: ten, and fewer where a step of `size` latents is long."""
    return max(1, min(10, 300_000 // size))


def course(
    advance: Callable[[], None],
    gap: Callable[[], float],
    *,
    steps: int,
    every: int,
    cap: float,
    began: float,
    clock: Clock = time.perf_counter,
) -> dict[str, Any]:
    """Train until the last level is reached, all steps are made or time is up.

    Args:
        advance: Makes `every` steps, and returns when they are done.
        gap: The gap per latent at this point, in nats; it is measured while the clock stands.
        steps: The number of steps.
        every: Steps between two measurements.
        cap: Seconds of training.
        began: What `time.perf_counter` said when the process began.
        clock: In seconds, of training.

    Returns:
        `before`, the seconds from the beginning of the process to that of training; `training`,
        those of training to each level that was reached; `seconds` of all training, the steps
        `made`, and the last `gap_per_latent`, None if it is not finite, which ends the course.
    """
    before = time.perf_counter() - began
    found: dict[str, float] = {}
    seconds, made, value = 0.0, 0, math.inf
    while made < steps and seconds < cap:
        since = clock()
        advance()
        seconds += clock() - since
        made += every
        value = gap()
        for level in LEVELS:
            if value <= level:
                found.setdefault(f"{level:g}", seconds)
        if value <= LEVELS[-1] or not math.isfinite(value):
            break
    last = value if math.isfinite(value) else None
    return {
        "before": before,
        "training": found,
        "seconds": seconds,
        "made": made,
        "gap_per_latent": last,
    }
