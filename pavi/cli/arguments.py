"""Arguments that several commands read alike."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from pavi.cli.data_file import DataFile


def data_file(given: Namespace) -> DataFile:
    """The CSV file, and how it is written.

    Raises:
        ValueError: If the separator or the decimal mark cannot be.
    """
    separator = "\t" if given.separator in ("tab", "\\t") else given.separator
    if len(separator) != 1:
        raise ValueError(f"--separator is one character or the word tab, got {given.separator!r}.")
    if given.decimal not in (".", ","):
        raise ValueError(f"--decimal is '.' or ',', got {given.decimal!r}.")
    if separator == given.decimal:
        raise ValueError(f"--separator and --decimal are both {separator!r}; they must differ.")
    return DataFile(Path(given.csv), separator, given.decimal, given.missing)


def new_file(given: Namespace) -> Path | None:
    """The file to write to, seen to be free before anything is computed.

    Raises:
        ValueError: If it cannot be written, or is there and not to be replaced.
    """
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
