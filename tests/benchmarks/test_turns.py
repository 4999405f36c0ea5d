"""Runs that take turns: when each may step, and which rounds count."""

import json

import pytest

from benchmarks.ranks import turns as module
from benchmarks.ranks.turns import TurnClock, Turns, complete


def test_of_every_three_turns_a_run_has_its_own():
    own = [Turns(start=100.0, settings=3, mine=mine, seconds=2.0) for mine in range(3)]
    waits = [[turns.wait(now) for turns in own] for now in (99.0, 100.5, 102.0, 105.0, 106.0)]
    assert waits == [[0, 0, 0], [0, 1.5, 3.5], [4, 0, 2], [1, 3, 0], [0, 2, 4]]


def test_a_turn_tells_the_seconds_of_the_steps_that_lay_in_it(monkeypatch, capsys):
    # A step takes 0.125 s; that of the end of a turn began in it, and does not count.
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)

    def sleep(seconds):
        nonlocal now
        now += seconds

    monkeypatch.setattr(module.time, "sleep", sleep)
    clock = TurnClock(Turns(start=10.0, settings=2, mine=1), quiet=False)
    for _ in range(200):
        now += 0.125
        clock.on_train_batch_end()
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["turn"] for line in told] == [*range(1, 2 * len(told), 2)]
    assert len(told) > 5
    assert all(line["step_s"] == 0.125 for line in told)


@pytest.mark.parametrize(
    ("said", "rounds"),
    [
        ([[{0: 1.0, 2: 3.0}], [{1: 2.0, 3: 4.0}]], [[[1.0], [2.0]], [[3.0], [4.0]]]),
        ([[{0: 1.0}], [{1: 2.0, 3: 4.0}]], [[[1.0], [2.0]]]),
        ([[{0: 1.0}], [{1: 2.0}, {}]], []),
        ([[{}], [{}]], []),
    ],
)
def test_a_round_counts_in_which_all_had_their_turn(said, rounds):
    assert complete(said) == rounds
