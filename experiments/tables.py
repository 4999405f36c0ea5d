"""Tables as CSV and as Markdown."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from pavi.files import whole_file

Row = dict[str, object]


def write_csv(table: Sequence[Row], path: Path) -> None:
    """Write every digit; what there is none of stays empty."""
    with whole_file(path) as file:
        writer = csv.DictWriter(file, fieldnames=list(table[0]))
        writer.writeheader()
        writer.writerows(table)


def markdown(table: Sequence[Row], *, caption: str) -> str:
    """The table as Markdown, below its caption; of a text of many lines the last one."""
    header = list(table[0])
    lines = [
        header,
        ["---"] * len(header),
        *([cell(row[name]) for name in header] for row in table),
    ]
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return f"{caption}\n\n{body}\n"


def cell(value: object) -> str:
    """A value, short."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    last = str(value).splitlines()[-1] if str(value) else ""
    return last.replace("|", "\\|")
