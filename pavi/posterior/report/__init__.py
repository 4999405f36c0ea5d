"""The report: one HTML file that tells a fit."""

from pavi.posterior.report.document import write_report

__all__ = ["write_report"]
