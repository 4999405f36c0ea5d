"""Settings that take turns on the same processors, so that one's seconds are like another's.

A machine that is shared drifts: the same step took 24 and 44 ms within a minute. Runs one after
another measure that drift. Here all runs are alive at once, and one at a time steps for a second
while the others sleep; numbers of turns that follow each other are compared, and nothing else.

Whose turn it is every rank reads off the clock of the machine. Two ranks may disagree for a step
about the end of a turn: the one that went on waits in a collective, without computing.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any, final

import pytorch_lightning as pl
from rich.progress import track

from benchmarks.ranks.launch import one_thread, rank_command

# A turn of fewer steps says little, and so do the first steps of a run, which build what later
# ones have.
ENOUGH, SLOW = 5, 25
START_SECONDS = 40.0  # until all have taken their first steps
TURN_SECONDS = 1.0


@final
@dataclass(frozen=True)
class Turns:
    """When a run may step: of every `settings` turns the one numbered `mine`.

    Args:
        start: When the first turn begins, in seconds of `time.monotonic`.
        settings: How many take turns.
        mine: Which of them this is, from zero.
        seconds: How long a turn is.
    """

    start: float
    settings: int
    mine: int
    seconds: float = TURN_SECONDS

    def number(self, now: float) -> int:
        """Of the turn that a time lies in; negative before the first."""
        return int((now - self.start) // self.seconds)

    def wait(self, now: float) -> float:
        """Seconds until this run may step: none before the first turn, when all may."""
        turn = self.number(now)
        ahead = (self.mine - turn) % self.settings
        if turn < 0 or not ahead:
            return 0.0
        return self.start + (turn + ahead) * self.seconds - now


@final
class TurnClock(pl.Callback):
    """Steps when it may, and prints a line of JSON for every turn: its number, steps and seconds.

    Args:
        turns: When it may.
        quiet: Whether nothing is printed, as by all ranks but the first.
    """

    def __init__(self, turns: Turns, *, quiet: bool) -> None:
        self._turns, self._quiet = turns, quiet
        self._steps = 0
        self._ends: list[float] = []  # of the steps in this turn

    def on_train_batch_end(self, *_: Any) -> None:
        """Note the time, and sleep if the turn is over."""
        self._steps += 1
        now = time.monotonic()
        turn = self._turns.number(now)
        if self._ends and self._turns.number(self._ends[-1]) != turn:
            self._tell()
        if self._steps > SLOW and turn >= 0:
            self._ends.append(now)
        if seconds := self._turns.wait(now):
            self._tell()
            time.sleep(seconds)

    def _tell(self) -> None:
        """Of the steps that lay wholly in the turn which the first of them ended in."""
        if not self._ends:
            return
        turn = self._turns.number(self._ends[0])
        inside = [end for end in self._ends if self._turns.number(end) == turn]
        self._ends = []
        if len(inside) > ENOUGH and not self._quiet:
            seconds = (inside[-1] - inside[0]) / (len(inside) - 1)
            print(json.dumps({"turn": turn, "step_s": seconds}), flush=True)


def step_seconds(
    module: str, settings: Sequence[Sequence[int]], *, turns: int
) -> list[list[list[float]]]:
    """Seconds of a step of several settings, in rounds in which all had their turn.

    Args:
        module: One that takes `--turns START SETTINGS MINE` and steps until it is ended.
        settings: Of each the numbers of ranks of the runs that step at the same time.
        turns: How many rounds to take.

    Returns:
        For every round, setting and run the seconds of a step.

    Raises:
        RuntimeError: If a run ended by itself, with what it said.
    """
    start = time.monotonic() + START_SECONDS
    with tempfile.TemporaryFile("w+") as errors:
        runs = [
            [_started(module, ranks, Turns(start, len(settings), mine), errors) for ranks in runs]
            for mine, runs in enumerate(settings)
        ]
        every = [run for setting in runs for run in setting]
        try:
            end = start + turns * len(settings) * TURN_SECONDS
            for _ in track(range(int(end - time.monotonic())), "turns", transient=True):
                time.sleep(1)
                if any(run.poll() is not None for run in every):
                    errors.seek(0)
                    raise RuntimeError(f"{module} ended by itself:\n{errors.read()[-3000:]}")
        finally:
            for run in every:
                if run.poll() is None:
                    os.killpg(run.pid, signal.SIGTERM)
        return complete([[_told(run.communicate()[0]) for run in setting] for setting in runs])


def complete(said: Sequence[Sequence[dict[int, float]]]) -> list[list[list[float]]]:
    """Rounds in which every run of every setting had enough steps.

    Args:
        said: Of every setting and run the seconds of a step by the number of the turn.
    """
    count = len(said)
    last = max((turn for setting in said for run in setting for turn in run), default=-1)
    rounds = []
    for first in range(0, last + 1, count):
        found = [[run.get(first + mine) for run in setting] for mine, setting in enumerate(said)]
        full = [[s for s in setting if s is not None] for setting in found]
        if all(len(a) == len(b) for a, b in zip(full, found, strict=True)):
            rounds.append(full)
    return rounds


def _started(module: str, ranks: int, turns: Turns, errors: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            *rank_command(module, ranks),
            *("--turns", *map(str, (turns.start, turns.settings, turns.mine))),
        ],
        env=one_thread(),
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )


def _told(printed: str) -> dict[int, float]:
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith('{"turn"')]
    return {line["turn"]: line["step_s"] for line in lines}
