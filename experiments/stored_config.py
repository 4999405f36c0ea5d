"""The config that a folder holds, beside the one that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml


def stored_config(file: Path) -> dict[str, Any]:
    """The config of what is there.

    Raises:
        ValueError: If the file holds none.
    """
    try:
        found = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        why = f"it is not valid YAML: {error}"
    else:
        if isinstance(found, dict):
            return found
        kind = "empty" if found is None else f"a {type(found).__name__}"
        why = f"it must be a mapping of keys to values, and is {kind}"
    raise ValueError(
        f"{file} does not say what run is there: {why}. Delete {file.parent}, or choose another "
        "folder with out=..."
    )


def config_changes(
    stored: Mapping[str, Any], given: Mapping[str, Any], *, besides: Sequence[str]
) -> list[str]:
    """What is different, in words.

    Args:
        stored: The config that is there.
        given: The one that is asked for.
        besides: Keys that may differ, at the top or dotted.
    """
    there, here = _flat(stored), _flat(given)
    return [
        f"{key} is {there.get(key)} there and {here.get(key)} here"
        for key in dict.fromkeys([*there, *here])
        if not {key, key.split(".")[0]} & set(besides) and there.get(key) != here.get(key)
    ]


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
