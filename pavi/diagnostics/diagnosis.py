"""What was found out about a posterior, and the words for it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from pavi.core.listing import few
from pavi.diagnostics.advice import advice
from pavi.diagnostics.course import Course
from pavi.diagnostics.remedies import PythonRemedies, Remedies
from pavi.diagnostics.tails import HIGH, GlobalTail, Grade, LevelTails
from pavi.metrics import ELBOEstimate

COLORS = {Grade.GOOD: "green", Grade.FAIR: "yellow", Grade.POOR: "red", Grade.UNKNOWN: "default"}
MAX_SITES = 3
# How many draws a check takes by default. Tails may take as many to show: of a fit of Chem97, 200
# had a k-hat of 0.2, and 1000 one of 1.2.
DRAWS = 1000


@final
@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis.

    Args:
        check: What was looked at.
        value: What was found, in numbers.
        verdict: What it means, in words.
        grade: How far it can be trusted.
    """

    check: str
    value: str
    verdict: str
    grade: Grade


@final
@dataclass(frozen=True)
class Diagnosis:
    """What `posterior.check()` found. Prints as a table with verdicts and what to try.

    Args:
        elbo: On all data.
        bound: What the guide's bound is: `"ELBO"`, or a lower one.
        course: The end of the course of the fit; None if none was kept.
        globals: The weights of the sites without plates; None if there is none.
        levels: The weights of the rows of every level.
        labels: Per plate, the user's names of its rows.
        guide: Plain values that say how the guide was built.
        draws: How many draws of the globals, and of each row, were looked at.
        remedies: How what to try is asked for; in Python by default.
    """

    elbo: ELBOEstimate
    bound: str
    course: Course | None
    globals: GlobalTail | None
    levels: tuple[LevelTails, ...]
    labels: Mapping[str, Sequence[Any]]
    guide: Mapping[str, Any]
    draws: int
    remedies: Remedies = field(default_factory=PythonRemedies)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every check, with its verdict."""
        found = [self._elbo(), self._course()]
        if self.globals is not None:
            found.append(_globals(self.globals))
        return (*found, *(self._level(level) for level in self.levels))

    @property
    def trusted(self) -> bool:
        """Whether no check failed; a check that could not be made does not count."""
        return all(finding.grade is not Grade.POOR for finding in self.findings)

    @property
    def advice(self) -> tuple[str, ...]:
        """What to try, most promising first; nothing if all is good."""
        return advice(
            elbo_is_finite=math.isfinite(self.elbo.mean),
            course=self.course,
            globals_=self.globals,
            levels=self.levels,
            guide=self.guide,
            remedies=self.remedies,
        )

    @property
    def warning(self) -> str | None:
        """In one sentence, what not to trust; None if no check failed."""
        failed = [f.check for f in self.findings if f.grade is Grade.POOR]
        if not failed:
            return None
        return f"Do not trust this posterior yet: {'; '.join(failed)}."

    @property
    def verdict(self) -> str:
        """In words, whether to trust the posterior, and by how many draws that was judged."""
        good = "This posterior can be trusted: no check failed."
        if self.draws < DRAWS:
            good = "No check failed, but so few draws may miss what far tails are like."
        said = [self.warning or good]
        for grade, heading in ((Grade.FAIR, "With care"), (Grade.UNKNOWN, "Not judged")):
            if found := [f"{f.check} ({f.verdict})" for f in self.findings if f.grade is grade]:
                said.append(f"{heading}: {'; '.join(found)}.")
        said.append(f"Judged by {self.draws:,} draws.")
        return " ".join(said)

    def _elbo(self) -> Finding:
        mean = _signed(f"{self.elbo.mean:,.2f}")
        value = f"{mean} \N{PLUS-MINUS SIGN} {self.elbo.standard_error:.2g} nats"
        if not math.isfinite(self.elbo.mean):
            return Finding(self.bound, value, "not finite", Grade.POOR)
        return Finding(self.bound, value, "a lower bound of the log evidence", Grade.GOOD)

    def _course(self) -> Finding:
        check = "course of the fit"
        if self.course is None:
            return Finding(
                check, "not kept", "none was kept, or under 200 steps of it", Grade.UNKNOWN
            )
        end = self.course
        value = (
            f"{_signed(f'{end.gain:+.2g}')} \N{PLUS-MINUS SIGN} {end.standard_error:.2g} nats "
            f"over the last {end.steps:,} steps"
        )
        if end.rising:
            return Finding(check, value, "still rising when the fit ended", Grade.POOR)
        if end.falling:
            return Finding(check, value, "falling when the fit ended", Grade.POOR)
        if end.hidden:
            return Finding(check, value, "no rise to be seen, but the batches scatter", Grade.FAIR)
        return Finding(check, value, "had reached a plateau", Grade.GOOD)

    def _level(self, level: LevelTails) -> Finding:
        check = f"k-hat by {' x '.join(level.plates)}: {few(level.sites, MAX_SITES)}"
        if level.khat is None:
            verdict = "not known: data tie these rows together, given the globals too"
            return Finding(check, "", verdict, level.grade)
        count = level.khat.numel()
        above = round(level.share * count)
        median = _number(float(level.khat.median()))
        value = f"median {median}, {above:,} of {count:,} above {HIGH}"
        if level.grade is Grade.GOOD:
            return Finding(check, value, "good: rows follow their data", level.grade)
        worst = ", ".join(f"{self._row(level, r)} ({k:.2f})" for r, k in level.worst(3))
        if level.grade is Grade.FAIR:
            return Finding(check, value, f"good but for {worst}", level.grade)
        return Finding(check, value, f"poor; worst: {worst}", level.grade)

    def _row(self, level: LevelTails, row: tuple[int, ...]) -> str:
        parts = [
            f"{plate} {self.labels[plate][i] if plate in self.labels else i}"
            for plate, i in zip(level.plates, row, strict=True)
        ]
        return ", ".join(parts)

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        """Draw the table, then the verdict and what to try."""
        table = Table()
        for column in ("check", "found", "verdict"):
            table.add_column(column)
        for finding in self.findings:
            verdict = Text(finding.verdict, style=COLORS[finding.grade])
            table.add_row(Text(finding.check), Text(finding.value), verdict)
        yield table
        yield Text(self.verdict, style=COLORS[Grade.GOOD if self.trusted else Grade.POOR])
        for line in self.advice:
            yield Text(f"- {line}")

    def __str__(self) -> str:
        console = Console(width=110)
        with console.capture() as capture:
            console.print(self)
        return capture.get()


def _globals(tail: GlobalTail) -> Finding:
    value = (
        f"{_number(tail.khat)}; {tail.effective_sample_size:,.0f} of {tail.draws:,} draws count"
    )
    which = "all latents jointly" if tail.joint else "the globals"
    check = f"k-hat of {which}: {few(tail.sites, MAX_SITES)}"
    if tail.noisy:
        verdict = "high, but by the noise of integrating the rows at least in part"
    elif tail.khat == -math.inf:
        verdict = "exact: all weights are equal"
    else:
        verdict = {
            Grade.GOOD: "good",
            Grade.FAIR: (
                "usable: the tails are a bit off"
                if tail.khat < HIGH
                else "usable: averages are right, far tails are not"
            ),
            Grade.POOR: "poor: parts of the posterior are missed",
        }[tail.grade]
        if tail.grade is not Grade.GOOD and tail.blamed:
            verdict += f", in the tails of {few(tail.blamed, MAX_SITES)}"
    return Finding(check, value, verdict, tail.grade)


def _number(khat: float) -> str:
    if khat == -math.inf:
        return "\N{MINUS SIGN}\N{INFINITY}"
    return "\N{INFINITY}" if khat == math.inf else _signed(f"{khat:.2f}")


def _signed(number: str) -> str:
    """A number with a minus sign that is as wide as the plus."""
    return number.replace("-", "\N{MINUS SIGN}", 1) if number.startswith("-") else number
