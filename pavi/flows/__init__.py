"""Conditional flows: from noise to the unconstrained values of a site."""

from pavi.flows.affine import AffineFlow
from pavi.flows.asvi import ASVIFlow
from pavi.flows.base import ConditionalFlow, Flow, FlowContext
from pavi.flows.branch import BranchFlow
from pavi.flows.encoded import EncodedFlow
from pavi.flows.gaussian import GaussianFlow
from pavi.flows.instance import InstanceFlow
from pavi.flows.residual import CouplingFlow, MAFFlow, NSFFlow

__all__ = [
    "ASVIFlow",
    "AffineFlow",
    "BranchFlow",
    "ConditionalFlow",
    "CouplingFlow",
    "EncodedFlow",
    "Flow",
    "FlowContext",
    "GaussianFlow",
    "InstanceFlow",
    "MAFFlow",
    "NSFFlow",
]
