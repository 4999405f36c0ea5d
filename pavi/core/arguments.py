"""The names that a user's function asks for."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def argument_names(function: Callable[..., Any], *, who: str, names: str) -> tuple[str, ...]:
    """The arguments of a function, without those with a default, which are constants.

    Args:
        function: The function.
        who: It, for the message.
        names: What its arguments name, for the message.

    Raises:
        ValueError: If it takes any number of arguments.
    """
    found = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(f"{who} must name its {names} one by one, not as {parameter}.")
        if parameter.default is parameter.empty:
            found.append(parameter.name)
    return tuple(found)
