"""What a sweep found, as a tidy table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import stdev

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import JustifyMethod
from rich.table import Table

from experiments.sweeps.config import SweepConfig
from experiments.sweeps.study import live_trials, repetitions
from experiments.tables import Row, cell

STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "crashed",
    TrialState.RUNNING: "under way",
    TrialState.WAITING: "waiting",
}


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """All trials: the complete ones, the best first, then the others in their order."""

    def order(trial: FrozenTrial) -> tuple[bool, float, int]:
        complete = trial.state is TrialState.COMPLETE
        return not complete, trial.value or 0.0 if complete else 0.0, trial.number

    return sorted(live_trials(study), key=order)


def rows(study: optuna.Study, config: SweepConfig) -> list[Row]:
    """A row per trial: its state, its point, the metric with its sd over seeds, and errors.

    Trials that crashed and were run again come last, with the errors that they had.
    """
    found, again = [], repetitions(study)
    trials = study.get_trials(deepcopy=False)
    for trial in [*ranked(study), *(trials[number] for number in sorted(again))]:
        values = trial.user_attrs.get("values", [])
        state = STATES[trial.state]
        if trial.number in again:
            state += f", again as {again[trial.number]}"
        row: Row = {"trial": trial.number, "state": state}
        row |= {key: trial.params.get(key) for key in config.space}
        row[config.minimise] = trial.value if trial.state is TrialState.COMPLETE else None
        if len(config.seeds) > 1:
            row["sd over seeds"] = stdev(values) if len(values) > 1 else None
        row["seconds"] = trial.user_attrs.get("seconds")
        row["error"] = trial.user_attrs.get("error")
        found.append(row)
    return found


def screen_table(table: Sequence[Row], *, title: str) -> Table:
    """The table for the terminal: of a key its last part, and no errors, which stand above.

    Where it is too narrow for a value, this goes on in the next line.
    """
    shown = Table(title=title)
    header = [name for name in table[0] if name != "error"]
    for name in header:
        short = name.rpartition(".")[2]
        justify: JustifyMethod = "left" if name == "state" else "right"
        shown.add_column(short, justify=justify, overflow="fold")
    for row in table:
        shown.add_row(*(cell(row[name]) for name in header))
    return shown
