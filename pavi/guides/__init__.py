"""Guides: variational families that follow the plates of a model."""

from pavi.guides.adavi import adavi
from pavi.guides.asvi import asvi
from pavi.guides.base import Draws, Guide
from pavi.guides.branch import branch
from pavi.guides.mean_field import mean_field
from pavi.guides.per_instance import per_instance
from pavi.guides.plate_amortized import PlateAmortizedGuide

__all__ = [
    "Draws",
    "Guide",
    "PlateAmortizedGuide",
    "adavi",
    "asvi",
    "branch",
    "mean_field",
    "per_instance",
]
