"""Reading back the JSON that a run wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

AGAIN = "Delete it, and the same command makes it again."


def read_json(path: Path, *, remedy: str = AGAIN) -> Any:
    """What a file holds, or None where there is none.

    Args:
        path: The file.
        remedy: What to do where it is damaged, as a sentence.

    Raises:
        ValueError: If it is damaged, with its name and the remedy.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:  # not JSON, or not even text
        raise ValueError(f"{path} is damaged: {error}. {remedy}") from error
