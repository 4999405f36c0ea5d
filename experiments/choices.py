"""The choices of a config; those that belong to the method itself are enums of `pavi`."""

from __future__ import annotations

from enum import StrEnum


class ProblemName(StrEnum):
    """A model with data."""

    GRE = "gre"
    NC = "nc"
    GM = "gm"
    HV = "hv"
    MS_HBM = "ms_hbm"
    CHEM97 = "chem97"
    INSTEVAL = "insteval"


class GuideName(StrEnum):
    """A variational family."""

    PAVI = "pavi"
    MEAN_FIELD = "mean_field"
    PER_INSTANCE = "per_instance"
    ASVI = "asvi"
    BRANCH = "branch"
    ADAVI = "adavi"
    CASCADING_FLOWS = "cascading_flows"
    UIVI = "uivi"
    TOTAL_FLOW = "total_flow"


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
