"""What a study runs: the schema of `configs/reproduce/*/study.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import MISSING

from experiments.config_file import load_as

FOLDER = Path(__file__).parents[2] / "configs" / "reproduce"


@dataclass
class MethodConfig:
    """One of the methods that a study compares.

    Args:
        config: The YAML file of its runs, relative to the study's; what several studies have in
            common is in `../methods`.
        simulated: Whether it is trained over simulated data sets, once for all data sets.
        skip: Cases that it cannot run or that would take too long.
        longest: Per case, the longest of the lengths of runs that it has time for.
        set: Per case, overrides of its own.
    """

    config: str = MISSING
    simulated: bool = False
    skip: list[str] = field(default_factory=list)
    longest: dict[str, int] = field(default_factory=dict)
    set: dict[str, list[str]] = field(default_factory=dict)


@dataclass
class PresetConfig:
    """How much of a study is run.

    Args:
        data: The number of data sets, of the seeds 0, 1, ...
        seeds: The number of seeds of the fit on every data set.
        case_seeds: Per case, another number of them.
        lengths: The numbers of steps of the runs on every case, each a run of its own; those of
            the configs if there are none.
        cases: Which cases; all of them if null.
        methods: Which methods; all of them if null.
        set: Overrides for every run.
        above: Overrides for every run, above those of its case and its method.
    """

    data: int = 1
    seeds: int = 1
    case_seeds: dict[str, int] = field(default_factory=dict)
    lengths: list[int] = field(default_factory=list)
    cases: list[str] | None = None
    methods: list[str] | None = None
    set: list[str] = field(default_factory=list)
    above: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        counts = {f"case_seeds.{case}": number for case, number in self.case_seeds.items()}
        counts |= {f"lengths.{place}": steps for place, steps in enumerate(self.lengths)}
        for name, number in {"data": self.data, "seeds": self.seeds, **counts}.items():
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}.")


@dataclass
class StudyConfig:
    """Methods, compared on cases.

    Args:
        question: What the study asks.
        claim: What the paper says, in our words.
        axis: What the cases vary.
        timed: Whether seconds are a result: then runs never share the machine.
        set: Overrides for every run.
        cases: Per case, its overrides.
        methods: Per method, where its config is.
        presets: How much is run.
    """

    question: str = MISSING
    claim: str = MISSING
    axis: str = ""
    timed: bool = False
    set: list[str] = field(default_factory=list)
    cases: dict[str, list[str]] = field(default_factory=dict)
    methods: dict[str, MethodConfig] = field(default_factory=dict)
    presets: dict[str, PresetConfig] = field(default_factory=dict)


def study_names() -> list[str]:
    """The studies that exist."""
    return sorted(path.parent.name for path in FOLDER.glob("*/study.yaml"))


def load_study(name: str) -> StudyConfig:
    """The study of a name.

    Raises:
        ValueError: If there is none, or its file is wrong.
    """
    if name not in study_names():
        raise ValueError(f"there is no experiment {name!r}; there are {study_names()}.")
    return load_as(StudyConfig, FOLDER / name / "study.yaml")
