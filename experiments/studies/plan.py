"""The runs of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from experiments.config import ExperimentConfig
from experiments.config_file import load, sets
from experiments.studies.config import FOLDER, PresetConfig, StudyConfig

# Of the first data set that a guide trained over simulated ones is tried on; training never
# sees a seed, so any number will do.
DATA_SEED, FIT_SEED = 0, 0


@final
@dataclass(frozen=True)
class PlannedRun:
    """A run of a study.

    Args:
        method: Which method.
        case: On which case.
        config: Of the run. A method that is trained over simulated data sets has one run per case
            and seed; `problem.seed` is then that of the first data set to try it on.
        datasets: The number of data sets to try it on; None for a run that fits one data set.
    """

    method: str
    case: str
    config: ExperimentConfig
    datasets: int | None = None

    @property
    def folder(self) -> Path:
        """Of the run."""
        assert self.config.out is not None
        return Path(self.config.out)

    @property
    def name(self) -> str:
        """What to call it."""
        seeds = f"data {self.config.problem.seed}, {self.config.seed}"
        return f"{self.method}, {self.case}, {self.config.train.steps} steps, {seeds}"


def plan(
    name: str, study: StudyConfig, preset: str, *, out: Path, overrides: Sequence[str] = ()
) -> list[PlannedRun]:
    """All runs of a study, in order.

    Args:
        name: Of the study.
        study: Its config.
        preset: How much is run.
        out: The folder of the run folders.
        overrides: For every run, above all others.

    Raises:
        ValueError: If there is no such preset, it names what does not exist, or the config of a
            run is wrong.
    """
    if preset not in study.presets:
        raise ValueError(f"{name} has no preset {preset!r}; there are {list(study.presets)}.")
    chosen = study.presets[preset]
    methods = _known("methods", chosen.methods, list(study.methods))
    cases = _known("cases", chosen.cases, list(study.cases))
    _known("case_seeds", list(chosen.case_seeds), list(study.cases))
    runs = []
    for case in cases:
        for method in methods:
            entry = study.methods[method]
            _known("skip", entry.skip, list(study.cases))
            _known("set", list(entry.set), list(study.cases))
            _known("longest", list(entry.longest), list(study.cases))
            if case in entry.skip:
                continue
            shared = [*study.set, *chosen.set, *study.cases[case], *entry.set.get(case, [])]
            file = (FOLDER / name / entry.config).resolve()
            wanted = [*shared, *chosen.above, *overrides]
            _check_own(file, wanted, chosen)
            number = chosen.data if entry.simulated else None
            for length in _lengths(chosen, entry.longest.get(case)):
                common = load(file, [f"seed={FIT_SEED}", *wanted, *length])
                for data, seed in _seeds(chosen, case, simulated=entry.simulated):
                    problem = replace(common.problem, seed=data)
                    folder = str(out / _slug(method, case, *length, f"{data}-{seed}"))
                    config = replace(common, problem=problem, seed=seed, out=folder)
                    runs.append(PlannedRun(method, case, config, number))
    return runs


def by_repetition(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The order to carry runs out in: data set by data set, seed by seed, short runs first.

    What is compared, a method on all cases and methods with each other, then runs within the same
    minutes, so that a machine whose speed drifts slows all of it; and a study that is stopped has
    something to say about everything.
    """
    methods = list(dict.fromkeys(run.method for run in runs))

    def place(run: PlannedRun) -> tuple[int, int, int, int]:
        data, steps = run.config.problem.seed, run.config.train.steps
        assert data is not None
        assert steps is not None
        return data, run.config.seed, steps, methods.index(run.method)

    return sorted(runs, key=place)


def _lengths(preset: PresetConfig, longest: int | None) -> list[list[str]]:
    """Of every length of runs its override; one of none if the configs say how long runs are."""
    if not preset.lengths:
        return [[]]
    chosen = [steps for steps in preset.lengths if longest is None or steps <= longest]
    return [[f"train.steps={steps}"] for steps in chosen]


def _check_own(file: Path, overrides: Sequence[str], preset: PresetConfig) -> None:
    """Folders, seeds and lengths are those of the study; given, they would mean nothing.

    Raises:
        ValueError: If one is given.
    """
    seeds = f"from {DATA_SEED} on", "`data` and `seeds` of a preset say how many there are"
    folders = "one for each run", "`--out` says where they are"
    own = {"seed": seeds, "problem.seed": seeds, "out": folders}
    if preset.lengths:
        own["train.steps"] = f"to each of {preset.lengths}", "`lengths` of a preset says which"
    for key, (how, instead) in own.items():
        if sets(file, overrides, key):
            raise ValueError(
                f"{file} or its overrides set {key}, which a study does itself, {how}: take it "
                f"out; {instead}."
            )


def _seeds(preset: PresetConfig, case: str, *, simulated: bool) -> list[tuple[int, int]]:
    """Seeds of data and of fits; a guide for all data sets needs one fit per seed."""
    data = [DATA_SEED] if simulated else range(DATA_SEED, DATA_SEED + preset.data)
    seeds = preset.case_seeds.get(case, preset.seeds)
    return [(number, seed) for number in data for seed in range(seeds)]


def _known(what: str, chosen: Sequence[str] | None, existing: list[str]) -> list[str]:
    if chosen is None:
        return existing
    if unknown := [name for name in chosen if name not in existing]:
        raise ValueError(f"{what} names {unknown}; there are {existing}.")
    return list(chosen)


def _slug(*parts: str) -> str:
    plain = ["".join(c if c.isalnum() or c in "-._" else "_" for c in part) for part in parts]
    return "-".join(plain).lower()
