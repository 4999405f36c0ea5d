"""A file that is there as a whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pavi.files.disk import DiskFullError, check_space, disk_is_full, free_bytes
from pavi.files.unfinished import keep_on_disk, locked, remove_unfinished, unfinished_name


@contextmanager
def whole_file(
    path: Path, *, binary: bool = False, needed: int | None = None
) -> Iterator[IO[Any]]:
    """A file to write to, which takes its place when all is written and on the disk.

    A file that is there stays until then, whatever happens; what killed processes left of earlier
    attempts is removed.

    Args:
        path: Its place, in a folder that exists.
        binary: Whether bytes are written, and not text in UTF-8.
        needed: How many bytes it will take, if that is known: where there is no room nothing is
            written at all.

    Raises:
        DiskFullError: If the disk has no room for it.
    """
    path = path.resolve()
    remove_unfinished(path.parent, path.name)
    if needed is not None:
        check_space(path, needed)
    fresh = unfinished_name(path)
    text: dict[str, Any] = {} if binary else {"newline": "", "encoding": "utf-8"}
    full: BaseException | None = None
    try:
        with fresh.open("xb" if binary else "x", **text) as stream, locked(fresh):
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(fresh, path)
        keep_on_disk(path.parent)
    except Exception as error:
        if not disk_is_full(error):
            raise
        full = error
    finally:
        fresh.unlink(missing_ok=True)
    if full is not None:
        raise DiskFullError(path, needed=needed, free=free_bytes(path)) from full


def append_text(path: Path, text: str) -> None:
    """Add text to a file, all of it or nothing; a file that a killed process leaves is readable.

    Args:
        path: The file; a new one if there is none.
        text: Whole lines.

    Raises:
        DiskFullError: If the disk has no room for it.
    """
    added = text.encode()
    # Unbuffered: one call of the system writes it, which a kill does not cut in two.
    with path.open("ab", buffering=0) as stream:
        before = stream.seek(0, os.SEEK_END)
        try:
            written = stream.write(added)
            if written != len(added):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            stream.truncate(before)
            if disk_is_full(error):
                free = free_bytes(path)
                raise DiskFullError(path, needed=len(added), free=free) from error
            raise


def write_text(path: Path, text: str) -> None:
    """Write a text file, all of it or nothing, see `whole_file`."""
    with whole_file(path, needed=len(text.encode())) as stream:
        stream.write(text)
