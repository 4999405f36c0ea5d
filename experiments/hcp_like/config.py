"""What a cohort is a function of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, final

from experiments.hcp_like.geometry import SurfaceChoice


@final
@dataclass(frozen=True, kw_only=True)
class CohortConfig:
    r"""Sizes, seed and scales of a cohort; nothing else decides what is in it.

    The scales between centroids are those of the connectivity of 400 parcels of the cortex, seen
    in its 64 main directions: Yeo's networks differ by 0.123 a dimension. The noise is set by
    calibration (`python -m experiments.hcp_like calibrate`): with 64 dimensions and two sessions,
    who knows every parameter labels 85% of the vertices right, averaged over seeds.

    Args:
        subjects: How many.
        vertices: How many.
        sessions: How many each subject has.
        dim: The dimension of a fingerprint.
        seed: Of all that is drawn.
        surface: What the vertices lie on.
        between: The standard deviation of the networks' centroids, per dimension.
        subject_sd: The median over networks of that of subjects' centroids, :math:`\epsilon_l`.
        session_sd: The median over networks of that of sessions' centroids, :math:`\sigma_l`.
        spread: The standard deviation of :math:`\log\epsilon_l` and :math:`\log\sigma_l`.
        noise: The standard deviation of a fingerprint around its centroid, :math:`\kappa`.
        contrast: How far the logit of a vertex' own network lies above that of a distant one, in
            standard deviations of the subjects' fields.
        reach: How quickly the logit of a network falls with the distance from it, in mm.
        smoothness: The length over which subjects' fields vary, in mm.
        frequencies: The number of random Fourier frequencies of the fields.

    Raises:
        ValueError: If a number is out of its range.
    """

    subjects: int = 1000
    vertices: int = 59_412
    sessions: int = 2
    dim: int = 64
    seed: int = 0
    surface: SurfaceChoice = SurfaceChoice.HCP
    between: float = 0.123
    subject_sd: float = 0.05
    session_sd: float = 0.03
    spread: float = 0.2
    noise: float = 1.14
    contrast: float = 3.2
    reach: float = 10.0
    smoothness: float = 20.0
    frequencies: int = 128

    def __post_init__(self) -> None:
        for name in ("subjects", "vertices", "sessions", "dim", "frequencies"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        for name in ("between", "subject_sd", "session_sd", "noise", "reach", "smoothness"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be in 0..2**32 - 1, got {self.seed}.")

    def plain(self) -> dict[str, Any]:
        """The config as plain values."""
        return {**asdict(self), "surface": self.surface.value}

    @staticmethod
    def read(values: dict[str, Any]) -> CohortConfig:
        """The config of plain values.

        Raises:
            ValueError: If they are not those of a config.
        """
        known = {field.name for field in fields(CohortConfig)}
        if values.keys() != known:
            raise ValueError(
                f"the config of a cohort has {', '.join(sorted(known))}; "
                f"missing: {sorted(known - values.keys())}, "
                f"unknown: {sorted(values.keys() - known)}."
            )
        return CohortConfig(**{**values, "surface": SurfaceChoice(values["surface"])})
