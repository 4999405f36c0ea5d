"""The ELBO that a run logs, read while the run goes on."""

from __future__ import annotations

import csv
import math
from pathlib import Path

NAME = "train/elbo"


def read_elbo(run: Path) -> dict[int, float]:
    """The logged ELBO by step, over all starts of a run.

    Of a file that is being written the last line may be half there, and a table whose header is
    being replaced may be cut off anywhere: what cannot be read now is there at the next look.

    Args:
        run: A run folder.

    Returns:
        Finite values only; empty before the first.
    """
    found: dict[int, float] = {}
    files = (run / "logs").glob("version_*/metrics.csv")
    for file in sorted(files, key=lambda path: int(path.parent.name.removeprefix("version_"))):
        written = file.read_text().rpartition("\n")[0]
        for row in csv.DictReader(written.splitlines()):
            step, elbo = row.get("step"), row.get(NAME)
            if step and elbo and math.isfinite(value := float(elbo)):
                found[int(step)] = value
    return found
