"""Whether a posterior can be trusted: checks of one fit, calibration over simulated data sets."""

from pavi.diagnostics.calibration import Calibration, calibration
from pavi.diagnostics.check import check
from pavi.diagnostics.diagnosis import Diagnosis, Finding
from pavi.diagnostics.site_calibration import SiteCalibration
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
