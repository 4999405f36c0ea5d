"""What a step optimises."""

from pavi.objectives.forward_kl import ForwardKL
from pavi.objectives.reduced_elbo import ELBOTerms, ReducedELBO
from pavi.objectives.warm_up import (
    MAP,
    Annealed,
    CoolStart,
    Emphasis,
    Phase,
    Unregularised,
    WarmUp,
)

__all__ = [
    "MAP",
    "Annealed",
    "CoolStart",
    "ELBOTerms",
    "Emphasis",
    "ForwardKL",
    "Phase",
    "ReducedELBO",
    "Unregularised",
    "WarmUp",
]
