"""What a fit from the command line leaves until it is complete."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pavi.files import write_text
from pavi.training import FitStopped, latest_checkpoint

CARD = "unfinished.json"


@contextmanager
def unfinished_fit(out: Path, about: Mapping[str, object], *, overwrite: bool) -> Iterator[Path]:
    """A folder for the checkpoints of a fit, beside the folder that the fit will have.

    It stays when the fit is ended from outside or finds no room, so that the same command goes on
    from it, and is removed when the fit is complete or failed by itself.

    Args:
        out: The folder of the fit.
        about: What tells this fit from others.
        overwrite: Whether the checkpoints of another fit may be replaced.

    Raises:
        ValueError: If it holds the checkpoints of another fit, or something else.
    """
    folder = out.resolve().with_name(f"{out.resolve().name}.checkpoints")
    changes = _changes(folder, about)
    if changes and not overwrite:
        raise ValueError(
            f"{folder} is of a fit that did not finish, and another one: {'; '.join(changes)}. "
            "Give the command as it was to go on with it, or replace it with --overwrite."
        )
    if changes:
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / CARD, json.dumps(about, indent=1) + "\n")
    ended = False
    try:
        yield folder
    except (FitStopped, KeyboardInterrupt, OSError):
        ended = latest_checkpoint(folder) is not None
        raise
    finally:
        if not ended:
            shutil.rmtree(folder)


def _changes(folder: Path, about: Mapping[str, object]) -> list[str]:
    """What is different in a folder that is there, in words.

    Raises:
        ValueError: If it is none of a fit.
    """
    if not folder.exists():
        return []
    try:
        held = json.loads((folder / CARD).read_text(encoding="utf-8"))
        return [
            f"{key} is {held.get(key)} there and {value} here"
            for key, value in about.items()
            if held.get(key) != value
        ]
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder}, where the checkpoints of this fit would be, is none of `pavi fit` "
            f"({error}); choose another --out, or remove it."
        ) from error
