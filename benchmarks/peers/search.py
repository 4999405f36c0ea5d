"""The search for the rate, draws and steps of one method on one problem; all have the same budget.

Six trials cross three rates with one and four draws; two more give the best of these half and
twice the steps. The best is the one that is first at a gap of 0.005, else at 0.05, else ends at
the smallest gap. Trials count seconds of the processor, which other programs do not disturb.
"""

from __future__ import annotations

import math
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any, Protocol, final

from benchmarks.peers.course import LEVELS, Clock

RATES = (0.03, 0.1, 0.3)
DRAWS = (1, 4)
Outcome = Mapping[str, Any]


@final
@dataclass(frozen=True)
class Setting:
    """What is tuned.

    Args:
        rate: The first learning rate, which falls to zero along a cosine.
        draws: Of the latents per step.
        steps: Until the rate is zero.

    Raises:
        ValueError: If one is not positive.
    """

    rate: float = 0.1
    draws: int = 1
    steps: int = 1000

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value}.")

    def decay(self, step: float) -> float:
        """The part of the rate that is left at a step."""
        return 0.5 * (1 + math.cos(math.pi * min(step / self.steps, 1.0)))


class Trial(Protocol):
    """Fits with a setting, for at most `cap` seconds by the clock."""

    def __call__(self, setting: Setting, clock: Clock, cap: float) -> Outcome:
        """Fit; `course` says what the outcome holds."""


def search(trial: Trial, *, steps: int, cap: float) -> dict[str, Any]:
    """Try, and choose.

    Args:
        trial: Fits with a setting. A fit that is slower at the last level than another was cannot
            be the best, so it gets no more time than that one took.
        steps: Of the first six trials.
        cap: Seconds of a trial.

    Returns:
        The `chosen` setting and all `trials`, each a setting with its outcome.
    """
    outcomes: list[tuple[Setting, Outcome]] = []

    def attempt(setting: Setting) -> None:
        taken = [found["training"].get(f"{LEVELS[-1]:g}", cap) for _, found in outcomes]
        outcomes.append((setting, trial(setting, time.process_time, min(taken, default=cap))))

    for rate, draws in product(RATES, DRAWS):
        attempt(Setting(rate, draws, steps))
    chosen, _ = best(outcomes)
    for other in (steps // 2, 2 * steps):
        attempt(replace(chosen, steps=other))
    chosen, _ = best(outcomes)
    trials = [asdict(setting) | dict(outcome) for setting, outcome in outcomes]
    return {"chosen": asdict(chosen), "trials": trials}


def best(outcomes: Sequence[tuple[Setting, Outcome]]) -> tuple[Setting, Outcome]:
    """The first at the lowest level that any reached, or the one that ended lowest."""

    def order(entry: tuple[Setting, Outcome]) -> tuple[float, ...]:
        _, outcome = entry
        reached = [outcome["training"].get(f"{level:g}", math.inf) for level in LEVELS[::-1]]
        gap = outcome["gap_per_latent"]
        return (*reached, math.inf if gap is None else gap)

    return min(outcomes, key=order)


def add_arguments(parser: ArgumentParser) -> None:
    """The options that the scripts of all methods share."""
    parser.add_argument("--rate", type=float, default=Setting.rate)
    parser.add_argument("--draws", type=int, default=Setting.draws)
    parser.add_argument("--steps", type=int, default=Setting.steps)
    parser.add_argument("--cap", type=float, default=60.0, help="seconds of training")
    parser.add_argument("--search", action="store_true", help="choose the three above")


def carry_out(arguments: Namespace, trial: Trial) -> dict[str, Any]:
    """Fit once, by the wall clock, or search, by that of the processor.

    Args:
        arguments: With the options of `add_arguments`.
        trial: Fits with a setting.

    Returns:
        What was found, to be printed.
    """
    if arguments.search:
        return search(trial, steps=arguments.steps, cap=arguments.cap)
    setting = Setting(arguments.rate, arguments.draws, arguments.steps)
    return asdict(setting) | dict(trial(setting, time.perf_counter, arguments.cap))
