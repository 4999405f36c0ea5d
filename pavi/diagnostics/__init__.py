"""Whether a posterior can be trusted: checks of one fit, calibration over simulated data sets."""

from pavi.diagnostics.calibration import Calibration, SiteCalibration, calibration
from pavi.diagnostics.check import check
from pavi.diagnostics.diagnosis import Diagnosis, Finding
from pavi.diagnostics.tails import GlobalTail, Grade, LevelTails

__all__ = [
    "Calibration",
    "Diagnosis",
    "Finding",
    "GlobalTail",
    "Grade",
    "LevelTails",
    "SiteCalibration",
    "calibration",
    "check",
]
