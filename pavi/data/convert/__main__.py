"""python -m pavi.data.convert SOURCE... OUT."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from pavi.data.convert.conversion import convert
from pavi.data.convert.sources import KINDS
from pavi.data.stores.manifest import TYPES
from pavi.files import DiskFullError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; 0 if all went well, 2 if something does not fit, 1 on a full disk.

    Args:
        arguments: Those of the command line by default.
    """
    parser = argparse.ArgumentParser(
        prog="python -m pavi.data.convert",
        description="Make a store from files of other kinds. One source holds all rows; of "
        "several, each is a row. An interrupted conversion goes on where it stopped.",
    )
    add = parser.add_argument
    add("sources", nargs="+", metavar="SOURCE", help=KINDS)
    add("out", metavar="OUT", help="the folder of the store")
    add("--dtype", default="float16", choices=[kind.name for kind in TYPES], help="on disk")
    add("--sessions", type=int, metavar="N", help="N sources in a row are one row's sessions")
    add("--permute-axis", type=int, metavar="AXIS", help="shuffle the rows of an axis once")
    add("--seed", type=int, default=0, help="of their new places")
    add("--cortex", action="store_true", help="take only the cortices of dense series")
    add("--standardise", action="store_true", help="mean 0 and deviation 1 along the last axis")
    add("--repair", action="store_true", help="verify what is there, write damaged parts again")
    given = parser.parse_args(arguments)
    try:
        store = convert(
            given.sources,
            given.out,
            dtype=given.dtype,
            sessions=given.sessions,
            permute_axis=given.permute_axis,
            seed=given.seed,
            cortex=given.cortex,
            standardise=given.standardise,
            repair=given.repair,
        )
    except (ImportError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DiskFullError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{given.out}: {' x '.join(map(str, store.shape))} of {store.dtype}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
