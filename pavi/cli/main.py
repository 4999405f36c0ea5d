"""The `pavi` command: arguments, what they run, and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from pavi.cli import help as texts
from pavi.cli.commands import (
    describe_command,
    fit_command,
    report_command,
    sample_command,
    summary_command,
)
from pavi.cli.encodings import ENCODINGS
from pavi.training import FitStopped, NonFiniteLossError

SUCCESS, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130
DESCRIPTION = """\
Fit hierarchical Bayesian models to data with groups: write the model in Python,
the data in a CSV file, and get a posterior.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: Those of the command line by default.

    Returns:
        The exit code: 0, 1 if the fit or the machine failed, 2 if what was asked for cannot be,
        75 if a signal ended a fit that the same command goes on with, 130 on Ctrl-C.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = build_parser()
    parsed = parser.parse_args(given)
    if parsed.run is None:
        parser.print_help()
        return MISTAKE
    parsed.command_line = ["pavi", *given]
    run: Callable[[argparse.Namespace], None] = parsed.run
    try:
        run(parsed)
        sys.stdout.flush()
    except ValueError as error:
        return _failed(error, MISTAKE)
    except BrokenPipeError:
        # The reader of a pipe has seen enough; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (NonFiniteLossError, ImportError, OSError) as error:
        return _failed(error, FAILED)
    except FitStopped as end:
        print("The same command goes on where it was.", file=sys.stderr)
        return end.exit_code
    except KeyboardInterrupt as end:
        print(str(end) or "interrupted. Nothing was kept.", file=sys.stderr)
        return INTERRUPTED
    return SUCCESS


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

    def command(
        name: str, run: Callable[[argparse.Namespace], None], help_: str, epilog: str
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(
            name,
            help=help_,
            description=f"{help_[0].upper()}{help_[1:]}.",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(run=run)
        return added

    fit = command("fit", fit_command, "fit a model to data", texts.FIT)
    _model(fit)
    fit.add_argument("csv", metavar="DATA.csv", help="a line per row of the finest plate")
    fit.add_argument("--out", required=True, metavar="FOLDER", help="a new folder for the fit")
    fit.add_argument(
        "--encodings", choices=list(ENCODINGS), default="free", help="see below (default: free)"
    )
    fit.add_argument("--steps", type=int, default=2000, metavar="N", help="default: 2000")
    _seed(fit)
    _table(fit)
    fit.add_argument("--overwrite", action="store_true", help="replace a fit that is there")
    _quiet(fit)

    report = command("report", report_command, "write the report of a fit", texts.REPORT)
    _fit(report)
    _out(report, required=False, default="report.html in the folder of the fit")
    report.add_argument("--title", metavar="TEXT", help="the heading")
    report.add_argument(
        "--no-check", action="store_true", help="leave the diagnostics out, which take longest"
    )
    _draws(report)

    summary = command(
        "summary", summary_command, "print means, spreads and intervals", texts.SUMMARY
    )
    _fit(summary)
    _site(summary, required=False)
    _out(summary, required=False, default="print a few rows of each site")
    _draws(summary)

    sample = command("sample", sample_command, "write draws to a CSV file", texts.SAMPLE)
    _fit(sample)
    _site(sample, required=True)
    _out(sample, required=True, default=None)
    _draws(sample)

    describe = command(
        "describe", describe_command, "show a model, and whether data fit it", texts.DESCRIBE
    )
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


def _draws(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--draws", type=int, default=1000, metavar="N", help="default: 1000")
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


def _failed(error: Exception, code: int) -> int:
    print(f"error: {error}", file=sys.stderr)
    return code
