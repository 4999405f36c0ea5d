"""The choices of a config; those that belong to the method itself are enums of `pavi`."""

from __future__ import annotations

from enum import StrEnum


class ProblemName(StrEnum):
    """A model with data."""

    GRE = "gre"
    CHEM97 = "chem97"
    INSTEVAL = "insteval"


class EncodingsName(StrEnum):
    """Where encodings come from."""

    FREE = "free"
    DEEP_SET = "deep_set"
    SET_TRANSFORMER = "set_transformer"
    HYBRID = "hybrid"


class PhaseName(StrEnum):
    """A phase of the warm-up."""

    COOL_START = "cool_start"
    MAP = "map"
    UNREGULARISED = "unregularised"
    ANNEALED = "annealed"


class FlowName(StrEnum):
    """A conditional flow."""

    AFFINE = "affine"
    AFFINE_FULL = "affine_full"
    COUPLING = "coupling"
    MAF = "maf"
    NSF = "nsf"


class LoggerName(StrEnum):
    """Where the course of a run is written to."""

    CSV = "csv"
    TENSORBOARD = "tensorboard"
    WANDB = "wandb"


class Accelerator(StrEnum):
    """What a run computes on."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


class Strategy(StrEnum):
    """How several devices work together."""

    AUTO = "auto"
    DDP = "ddp"


class Precision(StrEnum):
    """The floating-point type of data and parameters."""

    FLOAT32 = "float32"
    FLOAT64 = "float64"
