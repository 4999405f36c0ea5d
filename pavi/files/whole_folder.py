"""A folder that is there as a whole or not at all."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pavi.files.disk import DiskFullError, check_space, disk_is_full, free_bytes
from pavi.files.unfinished import keep_on_disk, locked, remove, remove_unfinished, unfinished_name

EXCHANGE = 2  # Linux's RENAME_EXCHANGE
HERE = -100  # and its AT_FDCWD


@contextmanager
def whole_folder(path: Path, *, needed: int | None = None) -> Iterator[Path]:
    """A new folder to write to, which takes the place of `path` if all goes well.

    What was at `path` stays there until then.

    Args:
        path: Where the folder is to be.
        needed: How many bytes it will take, if that is known: where there is no room nothing is
            written at all.

    Raises:
        DiskFullError: If the disk has no room for it.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_unfinished(path.parent, path.name)
    if needed is not None:
        check_space(path, needed)
    # Not a temporary folder of Python's: those are the user's alone, whatever the umask says.
    fresh = unfinished_name(path)
    fresh.mkdir()
    full: BaseException | None = None
    try:
        with locked(fresh):
            yield fresh
            for above, _, files in os.walk(fresh):
                for file in files:
                    keep_on_disk(Path(above) / file)
                keep_on_disk(Path(above))
        _put(fresh, path)
        keep_on_disk(path.parent)
    except Exception as error:
        if not disk_is_full(error):
            raise
        full = error
    finally:
        remove(fresh)
    if full is not None:
        if isinstance(full, DiskFullError) and needed is None:
            needed = full.needed
        raise DiskFullError(path, needed=needed, free=free_bytes(path)) from full


def _put(fresh: Path, path: Path) -> None:
    """Move a folder to its place, and what was there, if anything, to where it was."""
    if not path.exists():
        os.replace(fresh, path)
    elif not _exchanged(fresh, path):
        # Where the system cannot exchange the two, there is a moment with neither.
        old = fresh.with_name(f"{fresh.name}.old")
        os.replace(path, old)
        try:
            os.replace(fresh, path)
        except OSError:
            os.replace(old, path)
            raise
        remove(old)


def _exchanged(one: Path, other: Path) -> bool:
    """Let two paths change places in one step; False where the system has no such thing."""
    if sys.platform != "linux":
        return False
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = os.fsencode(one), os.fsencode(other)
    return rename is not None and rename(HERE, names[0], HERE, names[1], EXCHANGE) == 0
