"""The part of a report that says whether to trust the posterior."""

from __future__ import annotations

from pavi.diagnostics import Diagnosis, Grade
from pavi.posterior.report.page import Block, Cells, Section


def diagnostics_section(diagnosis: Diagnosis) -> Section:
    """Every check with its verdict, then the verdict on all and what to try."""
    findings = diagnosis.findings
    table = Cells(
        ("check", "found", "verdict"),
        [(finding.check, finding.value, finding.verdict) for finding in findings],
        texts=3,
        marked=frozenset(n for n, f in enumerate(findings) if f.grade is Grade.POOR),
        prose=True,
    )
    blocks: list[Block] = [table, diagnosis.verdict, *diagnosis.advice]
    return Section("Diagnostics", blocks)
