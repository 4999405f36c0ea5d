"""What the sections of a config check about their values."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


def defaults(choice: type) -> dict[str, Any]:
    """The defaults of a dataclass, by field."""
    return {f.name: f.default for f in dataclasses.fields(choice)}


def check_positive(prefix: str, values: Mapping[str, Any], *names: str) -> None:
    """Every number of these values is positive and finite, or None.

    Raises:
        ValueError: If one is not.
    """
    for name in names:
        value = values[name]
        for number in value if isinstance(value, list) else [value]:
            if number is not None and not 0 < number < math.inf:
                raise ValueError(f"{prefix}.{name} must be positive and finite, got {value}.")


def check_seed(key: str, seed: int | None) -> None:
    """A seed is not negative.

    Raises:
        ValueError: If it is.
    """
    if seed is not None and seed < 0:
        raise ValueError(f"{key} must not be negative, got {seed}.")


def check_used(prefix: str, values: Mapping[str, Any], used: Mapping[str, Any]) -> None:
    """No value is set that the choice `name` of a section makes no use of.

    Args:
        prefix: The section.
        values: Its values; those not set are None.
        used: The defaults of those that the choice uses.

    Raises:
        ValueError: If one is.
    """
    for name, value in values.items():
        if name != "name" and value is not None and name not in used:
            raise ValueError(
                f"{prefix}.{name}={value} means nothing to {prefix}.name={values['name']}, "
                f"which uses {list(used) or 'no further key'}."
            )


def filled(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults, and in their place what is set."""
    chosen = {k: default if values[k] is None else values[k] for k, default in defaults.items()}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in chosen.items()}
