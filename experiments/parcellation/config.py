"""What can be set about the parcellation of a cohort."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import yaml
from omegaconf import MISSING

from experiments.checks import check_positive, check_seed
from experiments.choices import LoggerName
from experiments.config import TrainConfig, TrainerConfig
from experiments.parcellation.encodings import ParcellationEncodings
from experiments.parcellation.start import StartConfig
from pavi import FreeEncodings
from pavi.encodings import FlexibleEncodings


class EncodingsChoice(StrEnum):
    """Where encodings come from."""

    COMPUTED = "computed"
    HYBRID = "hybrid"
    FREE = "free"


@dataclass
class PriorConfig:
    """The constants of the prior, see `shared_label_parcellation`.

    Args:
        log_scale: Mean and standard deviation of the logarithms of the three scales.
        group_logits: The standard deviation of a vertex' group logits.
        subject_logits: That of a subject's around them.
    """

    log_scale: list[float] = field(default_factory=lambda: [-2.0, 1.0])
    group_logits: float = 3.0
    subject_logits: float = 1.0

    def __post_init__(self) -> None:
        if len(self.log_scale) != 2 or not self.log_scale[1] > 0:
            raise ValueError(
                "prior.log_scale must be a mean and a positive standard deviation, "
                f"got {self.log_scale}."
            )
        check_positive("prior", vars(self), "group_logits", "subject_logits")


@dataclass
class EncodingsConfig:
    """Encodings of the parcellation.

    Args:
        name: `computed` from summaries (PAVI-E), `hybrid` with free rows for the sites that are
            fewer than subjects times vertices, or `free` for all (PAVI-F), which takes 48 bytes
            a subject and vertex, and 100 more for what Adam remembers of them.
        hidden: The width of hidden layers; of `computed` and `hybrid`.
    """

    name: EncodingsChoice = EncodingsChoice.COMPUTED
    hidden: int = 32

    def __post_init__(self) -> None:
        check_positive("encodings", vars(self), "hidden")

    def build(self) -> FlexibleEncodings:
        """The encodings."""
        if self.name is EncodingsChoice.FREE:
            return FreeEncodings()
        residual = ("mu_s", "mu_st", "eta") if self.name is EncodingsChoice.HYBRID else ()
        return ParcellationEncodings(hidden=self.hidden, residual=residual)


@dataclass
class PosteriorConfig:
    """The streamed posterior.

    Args:
        draws: Of all latents, over which probabilities are averaged.
    """

    draws: int = 8

    def __post_init__(self) -> None:
        check_positive("posterior", vars(self), "draws")


@dataclass
class ParcellationConfig:
    """The parcellation of a cohort.

    Args:
        cohort: The folder of the cohort, or of a store `(subject, session, vertex, dim)`.
        networks: How many networks to find.
        prior: The constants of the prior.
        start: How the start is found.
        encodings: Where encodings come from.
        train: How the guide is fitted.
        posterior: How its posterior is drawn.
        trainer: On which devices.
        logger: Where the course of the run is written to.
        seed: Of initial weights, batches and noise. It has no default.
        out: The run folder; `runs/<name of the file>-<seed>` if null.
    """

    cohort: str = MISSING
    networks: int = 7
    prior: PriorConfig = field(default_factory=PriorConfig)
    start: StartConfig = field(default_factory=StartConfig)
    encodings: EncodingsConfig = field(default_factory=EncodingsConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    posterior: PosteriorConfig = field(default_factory=PosteriorConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    logger: LoggerName = LoggerName.CSV
    seed: int = MISSING
    out: str | None = None

    def __post_init__(self) -> None:
        check_seed("seed", self.seed)
        check_positive("", vars(self), "networks")
        self.train.checkpoint_every = self.train.checkpoint_every or max(1, self.train.steps // 10)


def is_parcellation(path: Path | str) -> bool:
    """Whether a config file is one of a parcellation: it names a cohort."""
    try:
        held = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return False  # for those who read configs to say what is wrong
    return isinstance(held, dict) and "cohort" in held
