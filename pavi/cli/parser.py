"""The arguments of the `pavi` command."""

from __future__ import annotations

import argparse
from importlib.metadata import version
from pathlib import Path

from pavi.cli import help as texts
from pavi.cli.names import CHECK_DRAWS, CHECK_INNER, ENCODINGS, FLOWS

DESCRIPTION = """\
Fit hierarchical Bayesian models to data with groups: write the model in Python,
the data in a CSV file, and get a posterior.
"""


def build_parser() -> argparse.ArgumentParser:
    """The arguments of all commands."""
    parser = argparse.ArgumentParser(
        prog="pavi",
        description=DESCRIPTION,
        epilog=texts.MAIN,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pavi {version('pavi-torch')}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, help_: str, epilog: str) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=help_,
            description=f"{help_[0].upper()}{help_[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=f"pavi.cli.commands.{name}")
        return added

    fit = command("fit", "fit a model to data", texts.FIT)
    _model(fit)
    fit.add_argument("csv", metavar="DATA.csv", help="a line per row of the finest plate")
    fit.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the fit")
    fit.add_argument(
        "--encodings", choices=ENCODINGS, default="free", help="see below (default: free)"
    )
    fit.add_argument(
        "--flow",
        action="append",
        default=[],
        metavar="[SITE=]FLOW",
        help=f"{', '.join(FLOWS)}, see below, of all sites or of one; may be given several times "
        "(default: affine)",
    )
    fit.add_argument(
        "--batch",
        action="append",
        default=[],
        metavar="PLATE=ROWS",
        help="rows of a plate in a step; may be given several times (default: all while the data "
        "are small, then a part of the largest outer plate)",
    )
    fit.add_argument("--steps", type=int, default=2000, metavar="N", help="default: 2000")
    fit.add_argument(
        "--learning-rate", type=float, metavar="R", help="at the first step (default: 0.03)"
    )
    fit.add_argument(
        "--table-rate",
        type=float,
        metavar="R",
        help="that of free encodings (default: the learning rate)",
    )
    _seed(fit)
    _table(fit)
    fit.add_argument("--overwrite", action="store_true", help="replace a fit that is there")
    fit.add_argument("--quiet", action="store_true", help="no progress bar, table or verdict")

    report = command("report", "write the report of a fit", texts.REPORT)
    _fit(report)
    _out(report, required=False, default="report.html in the folder of the fit")
    report.add_argument("--title", metavar="TEXT", help="the heading")
    report.add_argument(
        "--no-check", action="store_true", help="leave the diagnostics out, which take longest"
    )
    _draws(report)

    summary = command("summary", "print means, spreads and intervals", texts.SUMMARY)
    _fit(summary)
    _site(summary, required=False)
    _out(summary, required=False, default="print a few rows of each site")
    _draws(summary)

    check = command("check", "say whether to trust a fit, and what to try", texts.CHECK)
    _fit(check)
    _draws(check, default=CHECK_DRAWS)
    check.add_argument(
        "--inner",
        type=int,
        default=CHECK_INNER,
        metavar="N",
        help=f"draws of a level for each of those above it (default: {CHECK_INNER})",
    )

    sample = command("sample", "write draws to a CSV file", texts.SAMPLE)
    _fit(sample)
    _site(sample, required=True)
    _out(sample, required=True, default=None)
    _draws(sample)

    describe = command("describe", "show a model, and whether data fit it", texts.DESCRIBE)
    _model(describe)
    describe.add_argument("csv", metavar="DATA.csv", nargs="?", help="data to try it on")
    describe.add_argument(
        "--diagram", type=Path, metavar="FILE", help="draw the model, as .svg, .png or .pdf"
    )
    _table(describe)
    return parser


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL.py:NAME", help="a Python file and what the model is called in it"
    )


def _fit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("fit", metavar="FIT", help="a folder that `pavi fit` made")
    parser.add_argument(
        "--data", type=Path, metavar="FILE", help="where the data are now, if they were moved"
    )


def _site(parser: argparse.ArgumentParser, *, required: bool) -> None:
    what = "a latent site; may be given several times" + ("" if required else " (default: all)")
    parser.add_argument(
        "--site", action="append", default=[], required=required, metavar="NAME", help=what
    )


def _out(parser: argparse.ArgumentParser, *, required: bool, default: str | None) -> None:
    what = "the file to write" + (f" (default: {default})" if default else "")
    parser.add_argument("--out", required=required, metavar="FILE", help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")


def _draws(parser: argparse.ArgumentParser, *, default: int = 1000) -> None:
    parser.add_argument(
        "--draws", type=int, default=default, metavar="N", help=f"default: {default}"
    )
    _seed(parser)
    _quiet(parser)


def _seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="of all random numbers (default: 0)"
    )


def _quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _table(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how the CSV file is written")
    group.add_argument(
        "--separator", default=",", metavar="C", help="between cells, such as ';' or tab"
    )
    group.add_argument("--decimal", default=".", metavar="C", help="the decimal mark, . or ,")
    group.add_argument(
        "--missing",
        choices=("error", "ignore"),
        default="error",
        help="empty cells of measured sites: an error (default), or left out of the likelihood",
    )
