"""Conditional flows: from noise to the unconstrained values of a site."""

from pavi.flows.affine import AffineFlow
from pavi.flows.base import ConditionalFlow, Flow, FlowContext
from pavi.flows.residual import CouplingFlow, MAFFlow, NSFFlow

__all__ = [
    "AffineFlow",
    "ConditionalFlow",
    "CouplingFlow",
    "Flow",
    "FlowContext",
    "MAFFlow",
    "NSFFlow",
]
