"""A sweep: many runs of one config, locally or on Slurm, that goes on where it was stopped.

python -m experiments.sweep configs/sweeps/gre_tpe.yaml trials=30 --jobs 2
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.ends import INTERRUPTED
from experiments.figures import save
from experiments.provenance import command_line, provenance
from experiments.sweeps.config import ExecutorName, SweepConfig
from experiments.sweeps.executor import Executor
from experiments.sweeps.figure import sweep_figure
from experiments.sweeps.folder import SweepFolder
from experiments.sweeps.local import LocalExecutor
from experiments.sweeps.results import STATES, ranked, rows, screen_table
from experiments.sweeps.runner import TrialRunner
from experiments.sweeps.slurm import SlurmExecutor
from experiments.sweeps.space import load_sweep
from experiments.sweeps.study import live_trials, next_trial, opened_study, total, trials_under_way
from experiments.tables import markdown, write_csv
from pavi.files import write_text
from pavi.training import GO_ON

LOOK_SECONDS = 0.2  # between two looks at the processes
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


def finished_trials(
    study: optuna.Study,
    config: SweepConfig,
    folder: SweepFolder,
    executor: Executor,
    *,
    jobs: int,
) -> Generator[FrozenTrial, None, None]:
    """Start what is left of a sweep, `jobs` trials at a time, and hand out each as it ends.

    Args:
        study: Of the sweep.
        config: Of the sweep.
        folder: Of the sweep.
        executor: That starts the runs.
        jobs: How many trials are under way together.
    """
    waiting = trials_under_way(study)
    active: list[TrialRunner] = []
    try:
        while True:
            while len(active) < jobs:
                trial = waiting.pop(0) if waiting else next_trial(study, config)
                if trial is None:
                    break
                active.append(
                    TrialRunner(study, trial, config=config, folder=folder, executor=executor)
                )
            if not active:
                return
            for runner in list(active):
                if (finished := runner.advance()) is not None:
                    active.remove(runner)
                    yield finished
                elif runner.stopped:
                    active.remove(runner)
            time.sleep(LOOK_SECONDS)
    finally:
        for runner in active:
            runner.leave()


def carry_out(
    config: SweepConfig, folder: SweepFolder, executor: Executor, *, jobs: int, console: Console
) -> int:
    """Run a sweep and write what it found; returns the exit code.

    Args:
        config: Of the sweep.
        folder: Of the sweep, which exists.
        executor: That starts the runs.
        jobs: How many trials are under way together.
        console: For the bar and the table.
    """
    columns = (
        TextColumn("sweep"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[best]}"),
        TimeElapsedColumn(),
    )
    with opened_study(config, folder) as study, Progress(*columns, console=console) as bar:
        done = sum(trial.state in FINISHED for trial in live_trials(study))
        task = bar.add_task("", total=total(study, config), completed=done, best=_best(study))
        # Closed, since that is what ends the processes of an interrupted sweep.
        with closing(finished_trials(study, config, folder, executor, jobs=jobs)) as finished:
            for trial in finished:
                bar.update(task, advance=1, best=_best(study))
                bar.console.print(_line(trial, config), highlight=False, markup=False)
        bar.stop()
        report(study, config, folder, console=console)
        states = [trial.state for trial in live_trials(study)]
    if TrialState.RUNNING in states:
        return GO_ON
    return 1 if TrialState.FAIL in states else 0


def report(
    study: optuna.Study, config: SweepConfig, folder: SweepFolder, *, console: Console
) -> None:
    """Write the table and the figure, and print the table."""
    table = rows(study, config)
    caption = f"{config.config}, in the order of {config.minimise}"
    write_csv(table, folder.path / "trials.csv")
    write_text(folder.path / "trials.md", markdown(table, caption=caption))
    save(sweep_figure(ranked(study), config), folder.path / "trials.png")
    console.print(screen_table(table, title=caption))
    console.print(f"trials.csv, trials.md and trials.png are in {folder.path}", soft_wrap=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep from the command line.

    Returns:
        The exit code: 0, 1 if a trial crashed, 2 if what was asked for is wrong, 75 if a signal
        ended a run of it, with which the same command goes on, 130 on Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m experiments.sweep", description="A sweep.")
    parser.add_argument("config", help="a YAML file of configs/sweeps/")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="such as trials=9")
    parser.add_argument("--jobs", type=int, default=1, help="trials that run together (1)")
    parsed = parser.parse_intermixed_args(given)
    command = command_line("experiments.sweep", given)
    with ExitStack() as stack:
        try:
            if parsed.jobs < 1:
                raise ValueError(f"--jobs must be positive, got {parsed.jobs}.")
            config = load_sweep(parsed.config, parsed.overrides)
            assert config.out is not None
            folder = SweepFolder(Path(config.out))
            folder.check(config)
            executor = _slurm(config, folder)
            lock = stack.enter_context(folder.locked())
            if executor is None:
                executor = LocalExecutor(jobs=parsed.jobs, lock=lock)
            folder.create(config, provenance(seed=config.seed, command=command))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        try:
            code = carry_out(config, folder, executor, jobs=parsed.jobs, console=Console())
        except KeyboardInterrupt:
            return _goes_on("interrupted", command, code=INTERRUPTED)
    if code == GO_ON:
        return _goes_on("a signal ended a run of this sweep", command, code=code)
    return code


def _goes_on(why: str, command: Sequence[str], *, code: int) -> int:
    print(f"{why}. The same command goes on:\n{shlex.join(command)}", file=sys.stderr)
    return code


def _slurm(config: SweepConfig, folder: SweepFolder) -> Executor | None:
    """The queue, if it is asked for: before anything is written, since it may not be there."""
    if config.executor.name is not ExecutorName.SLURM:
        return None
    return SlurmExecutor(config.executor, folder=folder.path / "jobs", name=folder.path.name)


def _best(study: optuna.Study) -> str:
    """The best value so far, for the bar."""
    values = [t.value for t in live_trials(study) if t.state is TrialState.COMPLETE]
    found = [value for value in values if value is not None]
    return f"best {min(found):.5g}" if found else ""


def _line(trial: FrozenTrial, config: SweepConfig) -> str:
    """What became of a trial."""
    point = " ".join(f"{key}={_short(value)}" for key, value in trial.params.items())
    line = f"trial {trial.number} {STATES[trial.state]}: {point}"
    if trial.state is TrialState.COMPLETE:
        return f"{line}: {config.minimise} {trial.value:.5g}"
    return f"{line}\n{trial.user_attrs['error']}" if "error" in trial.user_attrs else line


def _short(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
