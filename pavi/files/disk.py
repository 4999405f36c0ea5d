"""What a disk has room for, and what is said when it has none."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import final

FULL = (errno.ENOSPC, errno.EDQUOT)
# What libraries say that write by themselves and hand on no number of the error.
SAID = ("No space left on device", "Disk quota exceeded")


@final
class DiskFullError(OSError):
    """A disk has no room for a file; what was there before is whole.

    Args:
        path: The file or folder that could not be written.
        needed: How many bytes it takes, if that is known.
        free: How many there are.
    """

    def __init__(self, path: Path, *, needed: int | None, free: int) -> None:
        self.path, self.needed, self.free = path, needed, free
        size = "" if needed is None else f"it takes {needed:,} bytes, and "
        message = (
            f"the disk is full: {path} could not be written; {size}{free:,} bytes are free in "
            f"{_standing(path.parent)}. What was there before is whole, and nothing unfinished "
            "was left. Free some space, or choose another disk, and do the same again."
        )
        super().__init__(errno.ENOSPC, message)

    def __str__(self) -> str:
        return str(self.args[1])


def size_told(count: int) -> str:
    """A number of bytes in words, with three digits, such as `15.3 GB`."""
    size = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:,.3g} TB"


def check_space(path: Path, needed: int) -> None:
    """See that a disk has room before anything is written to it.

    Args:
        path: A file or folder that is to be written.
        needed: The bytes that it takes.

    Raises:
        DiskFullError: If it has not.
    """
    total, _, free = shutil.disk_usage(_standing(path.parent))
    # Some network file systems say nothing about themselves: all of it is zero.
    if total and needed > free:
        raise DiskFullError(path, needed=needed, free=free)


def check_writable(path: Path) -> None:
    """See, before any work is done, that a folder can be made or written to.

    Args:
        path: The folder.

    Raises:
        ValueError: If a file is in its way or the place is read-only.
    """
    standing = _standing(path)
    if not standing.is_dir():
        what = "is a file" if standing == path else f"cannot be made: {standing} is a file"
        raise ValueError(f"{path} {what}; choose another folder.")
    if not os.access(standing, os.W_OK | os.X_OK):
        raise ValueError(
            f"{path} cannot be written to: {standing} is read-only for this user; choose another "
            "folder, or change its permissions."
        )


def disk_is_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, is that of a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in FULL:
            return True
        if any(text in str(seen) for text in SAID):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def free_bytes(path: Path) -> int:
    """The free bytes of the disk that a path lies on, which need not exist."""
    return shutil.disk_usage(_standing(path)).free


def _standing(path: Path) -> Path:
    """The path, or the nearest one above it that exists."""
    return next(each for each in (path, *path.absolute().parents) if each.exists())
