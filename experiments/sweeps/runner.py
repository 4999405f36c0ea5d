"""One trial: its runs, one after the other, and what Optuna is told of them."""

from __future__ import annotations

import math
from statistics import fmean
from typing import final

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.programs import last_words
from experiments.run_folder import RunFolder
from experiments.sweeps.config import PrunerName, SweepConfig
from experiments.sweeps.elbo_log import read_elbo
from experiments.sweeps.executor import Executor, Job
from experiments.sweeps.folder import SweepFolder
from experiments.sweeps.space import run_overrides
from pavi.training import GO_ON


@final
class TrialRunner:
    """Takes a trial from its point to its value, the mean of a metric over seeds.

    The first seed decides whether the trial is pruned: with several, steps of the first are
    compared with steps of the first. A run that is complete is not run again, and one that was
    interrupted goes on from its checkpoint.

    Args:
        study: That the trial is of.
        trial: With its point.
        config: Of the sweep.
        folder: Of the sweep.
        executor: That starts the runs.
    """

    def __init__(
        self,
        study: optuna.Study,
        trial: Trial,
        *,
        config: SweepConfig,
        folder: SweepFolder,
        executor: Executor,
    ) -> None:
        self._study, self._trial = study, trial
        self._config, self._folder, self._executor = config, folder, executor
        self._reported = set(study.get_trials(deepcopy=False)[trial.number].intermediate_values)
        self._values: list[float] = []
        self._seconds = 0.0
        self._job: Job | None = None
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether its run was ended by a signal, with a checkpoint; the trial stays under way."""
        return self._stopped

    def advance(self) -> FrozenTrial | None:
        """See how far it is; returns the trial once it is finished."""
        if self._job is not None:
            code = self._job.poll()
            if code is None:
                return self._pruned() if self._lags() else None
            if code == GO_ON:
                self._stopped = True
                return None
            if (failed := self._failed(code)) is not None:
                return failed
            self._job = None
        while len(self._values) < len(self._config.seeds):
            if self._complete():
                continue
            self._start()
            return None
        value = fmean(self._values)
        if not math.isfinite(value):
            return self._fail(f"{self._config.minimise} is {value}")
        self._keep()
        return self._study.tell(self._trial, value)

    def leave(self) -> None:
        """The sweep is interrupted; the trial stays under way."""
        if self._job is not None:
            self._job.leave()

    @property
    def _seed(self) -> int:
        return self._config.seeds[len(self._values)]

    @property
    def _run(self) -> RunFolder:
        return RunFolder(self._folder.run(self._trial.number, self._seed))

    def _start(self) -> None:
        path = self._run.path
        overrides = run_overrides(self._config, self._trial.params, seed=self._seed, out=path)
        arguments = [self._config.config, *overrides]
        self._job = self._executor.start(arguments, log=path.with_suffix(".log"))

    def _complete(self) -> bool:
        """Take the metric of a run that is complete."""
        metrics = self._run.metrics
        if metrics is None:
            return False
        name = self._config.minimise
        value = float(metrics[name.removeprefix("-")])
        self._values.append(-value if name.startswith("-") else value)
        self._seconds += metrics["seconds"]
        return True

    def _failed(self, code: int) -> FrozenTrial | None:
        if code == 0 and self._run.metrics is not None:
            return None
        assert self._job is not None
        said = last_words(self._job.errors())
        return self._fail(f"seed {self._seed}, exit code {code}: {said}")

    def _fail(self, error: str) -> FrozenTrial:
        self._trial.set_user_attr("error", error)
        return self._study.tell(self._trial, state=TrialState.FAIL)

    def _lags(self) -> bool:
        """Whether the pruner stops the trial, after what its first run has logged by now."""
        if self._config.prune.name is PrunerName.NONE or self._values:
            return False
        for step, elbo in read_elbo(self._run.path).items():
            if step not in self._reported:
                self._reported.add(step)
                self._trial.report(-elbo, step)
                if self._trial.should_prune():
                    return True
        return False

    def _pruned(self) -> FrozenTrial:
        assert self._job is not None
        self._job.stop()
        return self._study.tell(self._trial, state=TrialState.PRUNED)

    def _keep(self) -> None:
        self._trial.set_user_attr("values", self._values)
        self._trial.set_user_attr("seconds", self._seconds)
