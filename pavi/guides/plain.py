"""Choices as plain values, for a saved posterior."""

from __future__ import annotations

import dataclasses


def plain(choice: object) -> object:
    """A frozen dataclass as a dict of its fields, with the name of its class as `kind`."""
    if not dataclasses.is_dataclass(choice):
        return choice
    fields = {f.name: plain(getattr(choice, f.name)) for f in dataclasses.fields(choice)}
    return {"kind": type(choice).__name__, **fields}
