"""Ours and NumPyro on the same data: seconds to a gap, as a table.

python -m benchmarks.peers.race --python peers/bin/python

Every run is a process of its own, and they run one after the other. Writes `results/peers.md` and
ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.report import report
from experiments.tables import Row, markdown

LEVELS = ("0.05", "0.005")
CAPTION = """# Seconds to a gap, beside NumPyro

Gaussian random effects (50 observations of 2 dimensions a group), the same data for both, one
process after the other. `training`: without start, compilation and the measurement of gaps.
`process`: with all that came before training, from the start of the interpreter. A dash where the
level was not reached: after 120 seconds of training NumPyro is stopped, and PAVI-E has 500 steps.
NumPyro's rate, draws and steps were tuned at 300 groups, PAVI-E's for all sizes together."""


def main() -> None:
    """Run everything and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", required=True, help="of the environment of the peers")
    parser.add_argument("--groups", default="300,3000,30000,300000")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.groups.split(",")]
    lines: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for groups in track(sizes, "race"):
            data = str(Path(folder) / f"{groups}.npz")
            ours = [sys.executable, "-m"]
            _run([*ours, "benchmarks.peers.export", "gre", data, f"groups={groups}"])
            size = ["--groups", str(groups)]
            lines[f"{groups}"] = {
                "PAVI-E": _line([*ours, "benchmarks.first_gap", "--guide", "pavi_e", *size]),
                "NumPyro mean field": _line(
                    [arguments.python, str(Path(__file__).with_name("mean_field.py")), data]
                ),
            }
            Path(data).unlink()
    rows = [
        _row(groups, method, line)
        for groups, methods in lines.items()
        for method, line in methods.items()
    ]
    Path("results/peers.md").write_text(markdown(rows, caption=CAPTION))
    report({"groups": lines})


def _row(groups: str, method: str, line: dict[str, Any]) -> Row:
    seconds = {
        f"{kind} to {level}": f"{line[kind][level]:.2f}" if level in line[kind] else "\N{EN DASH}"
        for kind in ("training", "process")
        for level in LEVELS
    }
    gap = f"{line['gap_per_latent']:.2g}"
    return {"groups": f"{int(groups):,}", "method": method, **seconds, "last gap": gap}


def _run(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _line(command: Sequence[str]) -> dict[str, Any]:
    """The line of JSON that a command ends with."""
    return json.loads(_run(command).splitlines()[-1])


if __name__ == "__main__":
    main()
