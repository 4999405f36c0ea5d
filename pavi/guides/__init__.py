"""Guides: variational families that follow the plates of a model."""

from pavi.guides.adavi import adavi
from pavi.guides.asvi import asvi
from pavi.guides.base import Draws, Guide
from pavi.guides.branch import branch
from pavi.guides.cascading_flows import CascadingFlowsGuide
from pavi.guides.hamiltonian import HMC
from pavi.guides.mean_field import mean_field
from pavi.guides.per_instance import per_instance
from pavi.guides.plate_amortized import PlateAmortizedGuide
from pavi.guides.total_flow import TotalFlowGuide
from pavi.guides.uivi import UIVIGuide

__all__ = [
    "HMC",
    "CascadingFlowsGuide",
    "Draws",
    "Guide",
    "PlateAmortizedGuide",
    "TotalFlowGuide",
    "UIVIGuide",
    "adavi",
    "asvi",
    "branch",
    "mean_field",
    "per_instance",
]
