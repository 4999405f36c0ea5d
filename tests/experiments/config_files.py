"""The files of `configs/`, by what they are of."""

from __future__ import annotations

from pathlib import Path

from experiments.parcellation.config import is_parcellation

ROOT = Path(__file__).parents[2]
AFFINE = ROOT / "configs" / "debug" / "gre_affine.yaml"
SWEEPS = ROOT / "configs" / "sweeps"
STUDIES = ROOT / "configs" / "reproduce"
ALL = sorted(SWEEPS.parent.rglob("*.yaml"))
# Of single runs.
CONFIGS = [
    p for p in ALL if not (p.is_relative_to(SWEEPS) or is_parcellation(p)) and p.stem != "study"
]
