"""What the functions that a posterior offers as methods know of it."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from pavi.data import PlateData
from pavi.guides.base import Guide


@runtime_checkable
class Fitted(Protocol):
    """A guide that can draw, and the data it was fitted to.

    `Posterior` is one. A function whose first argument is a `Fitted` stands in a file of its own
    and is a method of `Posterior` by one line there.
    """

    guide: Guide
    data: PlateData
