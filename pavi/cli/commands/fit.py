"""A fit, kept in a folder."""

from __future__ import annotations

import shlex
import sys
from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from pavi.cli.arguments import data_file
from pavi.cli.exit_codes import FAILED
from pavi.cli.fit_folder import FitFolder
from pavi.cli.fit_options import FitOptions
from pavi.cli.model_file import ModelFile
from pavi.cli.remedies import CommandRemedies
from pavi.cli.stored_fit import is_slow
from pavi.cli.unfinished_fit import unfinished_fit
from pavi.diagnostics import DRAWS, affordable_draws
from pavi.fitting import fit
from pavi.posterior import Posterior
from pavi.training import FitStopped, NonFiniteLossError, exits_on_signals

SUMMARY_DRAWS = 1000


def run(given: Namespace) -> int | None:
    """Fit a model to data, keep the fit, and say what it is and whether to trust it."""
    try:
        posterior = _fitted(given)
    except NonFiniteLossError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    except FitStopped as end:
        print("The same command goes on where it was.", file=sys.stderr)
        return end.exit_code
    console, again = Console(), shlex.quote(str(given.out))
    if not given.quiet:
        slow = is_slow(posterior)
        console.print(posterior.summary(draws=SUMMARY_DRAWS, progress=slow))
        _judge(posterior, console, fit=again, progress=slow)
    console.print(f"The fit is in {given.out}. Next: pavi report {again}", soft_wrap=True)
    return None


def _fitted(given: Namespace) -> Posterior:
    """Fit, and write the folder."""
    out = Path(given.out)
    FitFolder.check_new(out, overwrite=given.overwrite)
    source = ModelFile.from_reference(given.model)
    options = FitOptions.read(given, source.model)
    file = data_file(given)
    data = file.read(source.model)
    told = options.told()
    about = {**told, "model": f"{source.name} of SHA-256 {source.digest}"}
    about |= {"data": f"of SHA-256 {file.digest}"}
    unfinished = unfinished_fit(out, about, overwrite=given.overwrite)
    with exits_on_signals(), unfinished as checkpoints:
        posterior = fit(
            source.model,
            data,
            encodings=options.build_encodings(),
            flow=options.build_flow(),
            flows=options.build_flows(),
            optimization=options.build_optimization(),
            batch=options.batch,
            steps=options.steps,
            seed=options.seed,
            checkpoints=checkpoints,
            progress=not given.quiet,
        )
        FitFolder.write(
            out,
            posterior,
            source=source,
            data=file,
            options=told,
            command=given.command_line,
        )
    return posterior


def _judge(posterior: Posterior, console: Console, *, fit: str, progress: bool) -> None:
    """Say whether to trust a fit, by as many draws as take a few seconds.

    They are of the seed that `pavi check` and `pavi report` have by default, whatever that of the
    fit is, so that all three say the same where they take as many.
    """
    draws = affordable_draws(posterior.guide, posterior.data)
    if draws is None:
        elbo = posterior.elbo(progress=progress)
        console.print(f"ELBO {elbo.mean:,.1f} nats, standard error {elbo.standard_error:.1g}")
        told = "Not judged yet, which takes a while on data of this size: "
        console.print(f"{told}pavi check {fit}", soft_wrap=True)
        return
    found = posterior.check(draws=draws, progress=progress)
    elbo = found.elbo
    console.print(f"ELBO {elbo.mean:,.1f} nats, standard error {elbo.standard_error:.1g}")
    judged = replace(found, remedies=CommandRemedies())
    console.print(judged.verdict, soft_wrap=True, highlight=False, markup=False)
    for line in judged.advice:
        console.print(f"- {line}", soft_wrap=True, highlight=False, markup=False)
    if draws < DRAWS:
        console.print(f"By {DRAWS:,} draws, which take longer: pavi check {fit}", soft_wrap=True)
