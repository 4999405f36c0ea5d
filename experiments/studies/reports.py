"""The report of every study."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from experiments.studies import amortization, convergence, expressivity, sizes
from experiments.studies.report import Report

REPORTS: Mapping[str, Report] = MappingProxyType(
    {
        "E1": convergence.REPORT,
        "E2": sizes.ENCODING_SIZE,
        "E3": sizes.CARDINALITY,
        "E4": expressivity.REPORT,
        "E5": amortization.REPORT,
        "E6": sizes.REDUCED_MODEL,
    }
)
