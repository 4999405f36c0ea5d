"""Guides: variational families that follow the plates of a model."""

from pavi.guides.base import Draws, Guide
from pavi.guides.plate_amortized import PlateAmortizedGuide

__all__ = ["Draws", "Guide", "PlateAmortizedGuide"]
