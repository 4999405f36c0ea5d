"""All examples, one after the other: `python -m examples`, or some: `python -m examples epil`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from rich.console import Console

from examples.example import Example, add_options, run
from experiments.provenance import command_line, provenance

NAMES = ("epil", "verbagg", "galaxies", "sleepstudy", "theoph", "chem97", "insteval")


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit examples, compare them with the kept draws by NUTS, and write figures and the table."""
    parser = argparse.ArgumentParser(prog="python -m examples", description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}; all")
    add_options(parser)
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in NAMES]:
        parser.error(f"there is no example {unknown[0]!r}; there are {', '.join(NAMES)}.")
    names = given.names or NAMES
    # Once, before any result is overwritten, which would make the working tree dirty.
    command = command_line("examples", sys.argv[1:] if arguments is None else arguments)
    origin = provenance(seed=given.seeds, command=command)
    console = Console()
    for number, name in enumerate(names, start=1):
        example: Example = import_module(f"examples.{name}").EXAMPLE
        console.rule(f"{number} of {len(names)}: {example.title}")
        run(
            example,
            steps=example.steps,
            seeds=given.seeds,
            out=given.out,
            fresh=given.fresh,
            origin=origin,
        )


if __name__ == "__main__":
    main()
