"""Whether a posterior can be trusted."""

from pavi.diagnostics.calibration import Calibration, SiteCalibration, calibration

__all__ = ["Calibration", "SiteCalibration", "calibration"]
