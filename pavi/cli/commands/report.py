"""The report of a fit."""

from __future__ import annotations

import shlex
from argparse import Namespace

from rich.console import Console

from pavi.cli.arguments import new_file
from pavi.cli.remedies import CommandRemedies
from pavi.cli.stored_fit import opened
from pavi.posterior.report import write_report


def run(given: Namespace) -> None:
    """Write the report of a fit."""
    folder = opened(given)
    # A report in its own folder is that of the fit, whatever was there before.
    out = new_file(given) or folder.path / "report.html"
    data = folder.data(given.data)
    posterior, card = folder.posterior(data=data), folder.card
    write_report(
        posterior,
        out,
        title=given.title or f"Posterior of {card['model']['name']}",
        draws=given.draws,
        seed=given.seed,
        provenance={
            "model": folder.reference,
            "data": card["data"]["path"],
            "command": shlex.join(card["command"]),
            **{name: str(value) for name, value in card["options"].items()},
            "fitted": card["written"],
            "SHA-256 of the model file": card["model"]["sha256"],
            "SHA-256 of the data": card["data"]["sha256"],
        },
        check=not given.no_check,
        progress=not given.quiet,
        remedies=CommandRemedies(),
    )
    Console().print(f"The report is {out}", soft_wrap=True)
