"""A report, from the posterior to the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from rich import get_console
from rich.progress import track

from pavi.diagnostics import PythonRemedies, Remedies
from pavi.files import write_text
from pavi.posterior.report.between_groups import group_checks
from pavi.posterior.report.data_section import data_section
from pavi.posterior.report.diagnostics_section import diagnostics_section
from pavi.posterior.report.estimates import LEVELS, globals_section, groups_section
from pavi.posterior.report.fit_section import fit_section
from pavi.posterior.report.model_section import model_section
from pavi.posterior.report.numbers import names
from pavi.posterior.report.page import Section, render
from pavi.posterior.report.predictive import predictive_checks
from pavi.posterior.report.predictive_section import predictive_section
from pavi.posterior.report.provenance_section import provenance_section

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

REPLICATES = 200
ENDINGS = (".html", ".htm")


def write_report(
    posterior: Posterior,
    path: Path,
    *,
    title: str,
    draws: int,
    seed: int,
    provenance: Mapping[str, str],
    check: bool,
    progress: bool,
    remedies: Remedies | None = None,
) -> None:
    """See `Posterior.report`; `remedies` say how what to try is asked for, if not in Python."""
    _check_path(path)
    try:
        from matplotlib import rc_context
    except ImportError:
        raise ImportError(
            "report() needs matplotlib, which is optional: pip install 'pavi-torch[plot]'"
        ) from None
    parts = _parts(
        posterior,
        draws=draws,
        seed=seed,
        provenance=provenance,
        check=check,
        remedies=remedies or PythonRemedies(),
    )
    # A fixed salt in place of random ids: the same fit gives the same images.
    with rc_context({"svg.hashsalt": "pavi"}):
        # What comes of a bar where nothing can be erased, as in a file, is an empty line.
        hidden = not (progress and get_console().is_interactive)
        found = [part() for part in track(parts, "report", disable=hidden, transient=True)]
    html = render(
        title=title,
        lead=_lead(posterior),
        sections=[section for section in found if section is not None],
    )
    write_text(path, html)


def _parts(
    posterior: Posterior,
    *,
    draws: int,
    seed: int,
    provenance: Mapping[str, str],
    check: bool,
    remedies: Remedies,
) -> list[Callable[[], Section | None]]:
    """The parts from top to bottom, each None where the posterior has nothing to say."""
    observed = posterior.model.observed
    measured = bool(observed) and all(site in posterior.data.measured for site in observed)
    summary = cache(lambda: posterior.summary(draws=draws, seed=seed, levels=LEVELS))

    def course() -> Section | None:
        elbo = posterior.elbo(seed=seed) if measured else None
        return fit_section(posterior, elbo=elbo)

    def predictive() -> Section | None:
        if not measured:
            return None
        return predictive_section(
            predictive_checks(posterior, draws=REPLICATES, seed=seed),
            group_checks(posterior, draws=REPLICATES, seed=seed),
        )

    def diagnostics() -> Section | None:
        if not (measured and check):
            return None
        # By the draws that `check` takes by default: two verdicts on one fit would not do.
        return diagnostics_section(replace(posterior.check(seed=seed), remedies=remedies))

    return [
        lambda: model_section(posterior),
        lambda: data_section(posterior),
        course,
        lambda: globals_section(summary()),
        lambda: groups_section(summary()),
        predictive,
        diagnostics,
        lambda: provenance_section(posterior, given=provenance),
    ]


def _lead(posterior: Posterior) -> str:
    model, sizes = posterior.model, posterior.data.cardinalities
    latents = f"{model.num_latents(sizes):,} latent dimensions"
    if not sizes:
        return f"A variational posterior of {latents}."
    rows = names([f"{size:,} of {plate}" for plate, size in sizes.items()])
    return f"A variational posterior of {latents}; rows: {rows}."


def _check_path(path: Path) -> None:
    """The report can be written there; seen before anything is computed."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(f"a report is an HTML file; {path.name!r} must end in .html.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file for the report.")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"cannot write {path}: there is no folder {path.resolve().parent}.")
