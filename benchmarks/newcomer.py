"""From one's own CSV file to a report, as the README says: three commands, each timed whole.

python -m benchmarks.newcomer --pupils 1000

Model and data are those of the README's first block of Python: what stands before `rng` there goes
into `model.py`, and the frame that it makes into `data.csv`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.report import report

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
DATA, FIT = "rng = ", "posterior = "  # where these parts of the block begin


def write_files(folder: Path, *, pupils: int) -> int:
    """Write `model.py` and `data.csv`.

    Args:
        folder: Where to.
        pupils: How many rows the CSV file has; the README's has 1,000.

    Returns:
        The number of lines of the model.

    Raises:
        ValueError: If the README's first block of Python is none of a model, data and a fit.
    """
    parts = re.split(
        f"^(?={DATA}|{FIT})", BLOCK.findall(README.read_text())[0], flags=re.MULTILINE
    )
    if len(parts) != 3:
        raise ValueError(
            f"{README}: the first block of Python has {len(parts)} parts, and should have three: "
            f"a model, data from {DATA!r} on, and a fit from {FIT!r} on."
        )
    model, data, _ = parts
    (folder / "model.py").write_text(model)
    names: dict[str, Any] = {}
    exec(model + data.replace("1000", str(pupils)), names)
    names["frame"].to_csv(folder / "data.csv", index=False)
    return len(model.strip().splitlines())


def seconds_of(folder: Path, *arguments: str) -> float:
    """The seconds of a command `pavi`, from its start to its end.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    begin = time.perf_counter()
    finished = subprocess.run(
        [sys.executable, "-m", "pavi", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise RuntimeError(f"pavi {' '.join(arguments)} failed:\n{finished.stderr[-3000:]}")
    return time.perf_counter() - begin


def main() -> None:
    """Time the commands, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pupils", type=int, default=1000)
    given = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        lines = write_files(folder, pupils=given.pupils)
        described = seconds_of(folder, "describe", "model.py:schools")
        fitted = seconds_of(folder, "fit", "model.py:schools", "data.csv", "--out", "fit")
        reported = seconds_of(folder, "report", "fit")
        size = (folder / "fit" / "report.html").stat().st_size
    report(
        {
            "lines_of_model": lines,
            "describe_seconds": described,
            "fit_seconds": fitted,
            "report_seconds": reported,
            "report_kb": size / 1e3,
        }
    )


if __name__ == "__main__":
    main()
