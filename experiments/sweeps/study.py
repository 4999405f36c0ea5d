"""The study behind a sweep: which point comes next, and what became of the earlier ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from experiments.checks import filled
from experiments.sweeps.config import PRUNER_FIELDS, Method, PrunerName, SweepConfig
from experiments.sweeps.folder import SweepFolder
from experiments.sweeps.space import distributions, grid

RETRY = "retry_of"  # the attribute of a trial that repeats a crashed one


@contextmanager
def opened_study(config: SweepConfig, folder: SweepFolder) -> Iterator[optuna.Study]:
    """The study of a sweep, from its folder.

    A grid is queued as a whole. Trials that crashed are queued anew, those that were under way
    are so still: `next_trial` hands out both.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(folder.storage)
    try:
        study = optuna.create_study(
            storage=storage,
            study_name="sweep",
            pruner=_pruner(config),
            direction="minimize",
            load_if_exists=True,
        )
        # A seed of its own for every start, or the first random points would come again.
        study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
        if config.method is Method.GRID:
            for point in grid(config):
                study.enqueue_trial(dict(point), skip_if_exists=True)
        for trial in live_trials(study):
            if trial.state is TrialState.FAIL:
                study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})
        yield study
    finally:
        storage.remove_session()
        storage.engine.dispose()


def live_trials(study: optuna.Study) -> list[FrozenTrial]:
    """All trials but those that another one repeats."""
    trials, repeated = study.get_trials(deepcopy=False), repetitions(study)
    return [trial for trial in trials if trial.number not in repeated]


def repetitions(study: optuna.Study) -> dict[int, int]:
    """By the number of a trial that crashed, that of the one that repeats it."""
    trials = study.get_trials(deepcopy=False)
    return {t.user_attrs[RETRY]: t.number for t in trials if RETRY in t.user_attrs}


def total(study: optuna.Study, config: SweepConfig) -> int:
    """How many trials the sweep has in the end."""
    return max(config.trials or 0, len(live_trials(study)))


def trials_under_way(study: optuna.Study) -> list[Trial]:
    """Those that an earlier process of the sweep left unfinished."""
    return [
        Trial(study, trial._trial_id)
        for trial in live_trials(study)
        if trial.state is TrialState.RUNNING
    ]


def next_trial(study: optuna.Study, config: SweepConfig) -> Trial | None:
    """A trial to start, with a point of the space; None if all have been."""
    live = live_trials(study)
    waiting = any(trial.state is TrialState.WAITING for trial in live)
    if not waiting and (config.trials is None or len(live) >= config.trials):
        return None
    return study.ask(fixed_distributions=distributions(config))


def _pruner(config: SweepConfig) -> optuna.pruners.BasePruner:
    chosen = filled(vars(config.prune), PRUNER_FIELDS[config.prune.name])
    if config.prune.name is PrunerName.MEDIAN:
        return optuna.pruners.MedianPruner(chosen["after_trials"], chosen["after_steps"])
    if config.prune.name is PrunerName.HALVING:
        return optuna.pruners.SuccessiveHalvingPruner(
            min_resource=max(1, chosen["after_steps"]), reduction_factor=chosen["factor"]
        )
    return optuna.pruners.NopPruner()
