"""Objectives: what a step of training minimises."""

from pavi.objectives.reduced_elbo import ELBOTerms, ReducedELBO

__all__ = ["ELBOTerms", "ReducedELBO"]
