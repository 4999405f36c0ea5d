"""Whether a posterior can be trusted: checks of one fit, calibration over simulated data sets."""

from pavi.diagnostics.calibration import Calibration, calibration
from pavi.diagnostics.check import INNER, LEAST_DRAWS, affordable_draws, check
from pavi.diagnostics.diagnosis import DRAWS, Diagnosis, Finding
from pavi.diagnostics.remedies import PythonRemedies, Remedies
from pavi.diagnostics.site_calibration import SiteCalibration
from pavi.diagnostics.tails import GlobalTail, Grade, LevelTails

__all__ = [
    "DRAWS",
    "INNER",
    "LEAST_DRAWS",
    "Calibration",
    "Diagnosis",
    "Finding",
    "GlobalTail",
    "Grade",
    "LevelTails",
    "PythonRemedies",
    "Remedies",
    "SiteCalibration",
    "affordable_draws",
    "calibration",
    "check",
]
