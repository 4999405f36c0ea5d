"""A folder that is written whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder to write to, which takes the place of `path` if all goes well.

    What was at `path` stays there until then.

    Args:
        path: Where the folder is to be.
    """
    path = path.resolve()
    # Not a temporary folder of Python's: those are the user's alone, whatever the umask says.
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    fresh.mkdir(parents=True)
    try:
        yield fresh
        _put(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put(fresh: Path, path: Path) -> None:
    """Move a folder to its place; what was there is removed only after that."""
    if not path.exists():
        os.replace(fresh, path)
        return
    old = fresh.with_name(f"{fresh.name}.old")
    os.replace(path, old)
    try:
        os.replace(fresh, path)
    except OSError:
        os.replace(old, path)
        raise
    shutil.rmtree(old, ignore_errors=True)
