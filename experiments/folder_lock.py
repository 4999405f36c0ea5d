"""A lock on a folder that the processes of a command hold together."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".lock"


@contextmanager
def locked(folder: Path, *, what: str) -> Iterator[int]:
    """Keep others out of a folder; the descriptor of the lock is for the processes of a command.

    They hold the lock as well, so that a command whose own process was killed cannot be started
    anew before its runs have ended.

    Args:
        folder: Which; it is made if it is not there.
        what: What the folder is of, such as a sweep.

    Raises:
        ValueError: If somebody is in.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"{folder} is in use by another process of this {what}, or by a run that "
                "it started; wait for it, or stop it."
            ) from error
        yield file.fileno()
