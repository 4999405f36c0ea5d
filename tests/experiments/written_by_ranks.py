"""One rank of a parcellation that says which subjects it writes, or fails at one of them.

`torchrun --nproc-per-node 2 written_by_ranks.py SAID FAILS CONFIG key=value ...`, where FAILS is
the subject that cannot be written, or -1.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from experiments.run import main
from pavi.data.stores import StoreWriter


def watched(said: str, fails: int) -> None:
    """Note every part that is written."""
    write = StoreWriter.write

    def noted(writer: StoreWriter, part: int, values: Any) -> None:
        if part == fails:
            raise OSError(5, "Input/output error")
        with open(f"{said}.{os.environ['RANK']}", "a") as stream:
            stream.write(f"{part}\n")
        write(writer, part, values)

    StoreWriter.write = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    watched(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
