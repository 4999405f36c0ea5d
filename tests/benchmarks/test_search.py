"""The search for settings: its budget, its choice, and the course of a fit."""

from __future__ import annotations

import itertools
import json
from argparse import ArgumentParser

import pytest

from benchmarks.first_gap import Course
from benchmarks.peers.course import course, stride
from benchmarks.peers.search import Setting, add_arguments, best, carry_out, search


def outcome(*, gap=1.0, **training):
    return {"training": {key[1:].replace("_", "."): t for key, t in training.items()}} | {
        "gap_per_latent": gap
    }


def test_eight_trials_and_none_longer_than_the_fastest():
    asked = []

    def trial(setting, clock, cap):
        asked.append((setting, cap))
        fast = setting == Setting(0.1, 4, 100)
        return outcome(s0_05=1.0, s0_005=2.0) if fast else outcome(gap=0.9)

    found = search(trial, steps=100, cap=40)
    assert found["chosen"] == {"rate": 0.1, "draws": 4, "steps": 100}
    grid = [(r, d, 100) for r, d in itertools.product((0.03, 0.1, 0.3), (1, 4))]
    assert [(s.rate, s.draws, s.steps) for s, _ in asked] == [*grid, (0.1, 4, 50), (0.1, 4, 200)]
    assert [cap for _, cap in asked] == [40, 40, 40, 40, 2.0, 2.0, 2.0, 2.0]
    assert len(found["trials"]) == 8
    json.dumps(found)


def test_the_lowest_level_counts_first_then_the_next_then_the_gap():
    diverged, ended = outcome(gap=None), outcome(gap=0.3)
    early, deep = outcome(gap=0.04, s0_05=0.5), outcome(gap=0.001, s0_05=3.0, s0_005=4.0)
    order = [diverged, ended, early, deep]
    for number in range(1, 5):
        outcomes = [(Setting(draws=n + 1), o) for n, o in enumerate(order[:number])]
        assert best(outcomes)[0].draws == number


def test_the_rate_falls_to_zero():
    setting = Setting(rate=0.2, steps=10)
    assert [setting.rate * setting.decay(step) for step in (0, 5, 10, 12)] == pytest.approx(
        [0.2, 0.1, 0.0, 0.0]
    )


@pytest.mark.parametrize("name", ["rate", "draws", "steps"])
def test_a_setting_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be positive, got 0"):
        Setting(**{name: 0})


def test_a_single_fit_reports_its_setting():
    parser = ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--rate", "0.3", "--cap", "7"])

    def trial(setting, clock, cap):
        assert cap == 7
        return outcome(gap=0.5)

    found = carry_out(arguments, trial)
    assert found == {"rate": 0.3, "draws": 1, "steps": 1000, "training": {}, "gap_per_latent": 0.5}


def fit(gaps, **options):
    """A course over given gaps, with a second of training before each and ten for each gap."""
    now, left = [0.0], iter(gaps)

    def pass_time(seconds):
        now[0] += seconds

    def gap():
        pass_time(10.0)
        return next(left)

    options = {"steps": 100, "every": 10, "cap": 50.0} | options
    return course(lambda: pass_time(1.0), gap, began=0.0, clock=lambda: now[0], **options)


def test_a_course_counts_training_only_and_ends_at_the_last_level():
    found = fit([0.2, 0.04, 0.06, 0.004, 0.001])
    assert found["training"] == {"0.05": 2.0, "0.005": 4.0}
    assert (found["seconds"], found["made"], found["gap_per_latent"]) == (4.0, 40, 0.004)


@pytest.mark.parametrize(
    ("gaps", "options", "made", "last"),
    [
        ([1.0] * 9, {"cap": 3.0}, 30, 1.0),
        ([1.0] * 9, {"steps": 20}, 20, 1.0),
        ([1.0, float("nan"), 0.0], {}, 20, None),
    ],
)
def test_a_course_ends_when_time_or_steps_are_up_or_it_diverges(gaps, options, made, last):
    found = fit(gaps, **options)
    assert (found["training"], found["made"], found["gap_per_latent"]) == ({}, made, last)


def test_large_problems_are_measured_more_often():
    assert [stride(size) for size in (63, 60_002, 600_002)] == [10, 4, 1]


def test_ours_reaches_a_level_when_it_stays_below():
    ours = Course(lambda: 0.0, 5, 60.0, lambda: 0.0, before=2.0)
    ours.course = [(1.0, 0.04), (2.0, 0.06), (3.0, 0.03), (4.0, 0.004), (5.0, 0.006)]
    assert ours.outcome(diverged=False)["training"] == {"0.05": 3.0}
    assert ours.outcome(diverged=True)["training"] == {}
    assert ours.outcome(diverged=True)["gap_per_latent"] is None
