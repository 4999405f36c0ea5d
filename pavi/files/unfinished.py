"""What is being written, beside its place, and what a killed process left of it.

Something unfinished has a name of its own, `.NAME.xxxxxxxx.part`, in the folder of what it will
become, so that it can be moved there in one step. Its writer holds a lock on it, which ends with
the process however that ends: whatever is not locked was left behind, and is removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

NAME = re.compile(r"\.(.+)\.[0-9a-f]{8}\.part")


def unfinished_name(path: Path) -> Path:
    """A new name beside a path, for what will take its place."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def remove_unfinished(folder: Path, name: str | None = None) -> None:
    """Remove what killed processes left in a folder; what is being written stays.

    Args:
        folder: The folder; one that does not exist has nothing in it.
        name: What was to be written there; anything by default.
    """
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        found = NAME.fullmatch(path.name)
        if found and name in (None, found[1]) and _is_left(path):
            remove(path)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there and can be."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold the lock of an unfinished file or folder; gives whether nobody else holds it."""
    if sys.platform == "win32":  # where what somebody writes cannot be removed anyway
        yield True
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        mine = True
    except OSError:
        mine = False
    try:
        yield mine
    finally:
        os.close(descriptor)


def keep_on_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power failure."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_left(path: Path) -> bool:
    try:
        with locked(path) as mine:
            return mine
    except OSError:  # it has just been finished, or is somebody else's
        return False
