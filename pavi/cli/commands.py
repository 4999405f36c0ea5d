"""What each command does; every one returns nothing or raises what went wrong."""

from __future__ import annotations

import csv
import shlex
import sys
from argparse import Namespace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pavi.cli.columns import expected_columns
from pavi.cli.data_file import DataFile
from pavi.cli.draws_file import write_draws
from pavi.cli.encodings import ENCODINGS
from pavi.cli.fit_folder import FitFolder
from pavi.cli.model_file import ModelFile
from pavi.cli.unfinished_fit import unfinished_fit
from pavi.core import HierarchicalModel
from pavi.files import whole_file
from pavi.fit import fit
from pavi.posterior import Posterior
from pavi.training import exits_on_signals

SUMMARY_DRAWS = 1000


def fit_command(given: Namespace) -> None:
    """Fit a model to data and keep the fit in a folder."""
    out = Path(given.out)
    FitFolder.check_new(out, overwrite=given.overwrite)
    source = ModelFile.from_reference(given.model)
    file = _data_file(given)
    data = file.read(source.model)
    options = {"encodings": given.encodings, "steps": given.steps, "seed": given.seed}
    about = {**options, "model": f"{source.name} of SHA-256 {source.digest}"}
    about |= {"data": f"of SHA-256 {file.digest}"}
    unfinished = unfinished_fit(out, about, overwrite=given.overwrite)
    with exits_on_signals(), unfinished as checkpoints:
        posterior = fit(
            source.model,
            data,
            encodings=ENCODINGS[given.encodings](),
            steps=given.steps,
            seed=given.seed,
            checkpoints=checkpoints,
            progress=not given.quiet,
        )
        FitFolder.write(
            out,
            posterior,
            source=source,
            data=file,
            options=options,
            command=given.command_line,
        )
    console = Console()
    if not given.quiet:
        elbo = posterior.elbo(progress=_slow(posterior))
        console.print(posterior.summary(draws=SUMMARY_DRAWS, progress=_slow(posterior)))
        console.print(f"ELBO {elbo.mean:,.1f} nats, standard error {elbo.standard_error:.1g}")
    again = shlex.quote(str(given.out))
    console.print(f"The fit is in {given.out}. Next: pavi report {again}", soft_wrap=True)


def summary_command(given: Namespace) -> None:
    """Print means, spreads and quantiles, or write those of all rows to a file."""
    posterior = _loaded(_opened(given), data_file=given.data)
    out = _new_file(given)
    progress = not given.quiet and _slow(posterior)
    summary = posterior.summary(*given.site, draws=given.draws, seed=given.seed, progress=progress)
    if out is None:
        Console().print(summary)
        return
    with whole_file(out) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        quantiles = [f"{100 * level:g}%" for level in summary.levels]
        writer.writerow(["variable", "mean", "sd", *quantiles])
        for site in summary.mean:
            writer.writerows(
                [name, *(f"{value:.9g}" for value in values)]
                for name, values in summary.rows(site)
            )


def sample_command(given: Namespace) -> None:
    """Write draws to a file."""
    posterior = _loaded(_opened(given), data_file=given.data)
    out = _new_file(given)
    assert out is not None
    lines = write_draws(
        posterior,
        given.site,
        out,
        draws=given.draws,
        seed=given.seed,
        progress=not given.quiet,
    )
    Console().print(f"{out} has {lines:,} lines below its header.", soft_wrap=True)


def describe_command(given: Namespace) -> None:
    """Print a model, what columns it asks of data and, with data, whether they fit."""
    source = ModelFile.from_reference(given.model)
    data = None if given.csv is None else _data_file(given).read(source.model)
    sizes = None if data is None else data.cardinalities
    source.model.describe(sizes)
    _describe_columns(source.model)
    if given.diagram is not None:
        source.model.graph(given.diagram, cardinalities=sizes)
    if data is not None:
        rows = ", ".join(f"{size:,} of {plate}" for plate, size in data.cardinalities.items())
        Console().print(f"{given.csv} fits the model. Rows: {rows or 'none'}.", soft_wrap=True)


def report_command(given: Namespace) -> None:
    """Write the report of a fit."""
    folder = _opened(given)
    # A report in its own folder is that of the fit, whatever was there before.
    out = _new_file(given) or folder.path / "report.html"
    data = folder.data(given.data)
    posterior, card = folder.posterior(data=data), folder.card
    posterior.report(
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
    )
    Console().print(f"The report is {out}", soft_wrap=True)


def _opened(given: Namespace) -> FitFolder:
    """The folder of a fit; a changed model file is told."""
    folder = FitFolder.open(Path(given.fit))
    if folder.note:
        print(f"note: {folder.note}", file=sys.stderr)
    return folder


def _loaded(folder: FitFolder, *, data_file: Path | None) -> Posterior:
    """The posterior, with its data where a latent site depends on a covariate, or on request."""
    sites = folder.model.sites
    needed = any(
        parent in folder.model.covariates
        for latent in folder.model.latents
        for parent in sites[latent].parents
    )
    read = needed or data_file is not None
    return folder.posterior(data=folder.data(data_file) if read else None)


def _data_file(given: Namespace) -> DataFile:
    separator = "\t" if given.separator in ("tab", "\\t") else given.separator
    if len(separator) != 1:
        raise ValueError(f"--separator is one character or the word tab, got {given.separator!r}.")
    if given.decimal not in (".", ","):
        raise ValueError(f"--decimal is '.' or ',', got {given.decimal!r}.")
    if separator == given.decimal:
        raise ValueError(f"--separator and --decimal are both {separator!r}; they must differ.")
    return DataFile(Path(given.csv), separator, given.decimal, given.missing)


def _new_file(given: Namespace) -> Path | None:
    """The file to write to, seen to be free before anything is computed."""
    if given.out is None:
        return None
    path = Path(given.out)
    if path.is_dir():
        raise ValueError(f"--out {path} is a folder; name a file.")
    if not path.resolve().parent.is_dir():
        raise ValueError(f"--out {path}: there is no folder {path.resolve().parent}.")
    if path.exists() and not given.overwrite:
        raise ValueError(f"--out {path} exists; name another file, or give --overwrite.")
    return path


def _slow(posterior: Posterior) -> bool:
    """Whether to show a bar for a summary: not for those that take no time."""
    return posterior.model.num_latents(posterior.data.cardinalities) > 10_000


def _describe_columns(model: HierarchicalModel) -> None:
    table = Table(title="columns of the data", title_justify="left")
    for heading in ("column", "holds", "needed"):
        table.add_column(heading)
    for column in expected_columns(model):
        table.add_row(column.name, column.holds, "yes" if column.required else "no")
    Console().print(table)
