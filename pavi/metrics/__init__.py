"""Measures of a fit on the full data."""

from pavi.metrics.full_elbo import ELBOEstimate, full_elbo
from pavi.metrics.importance import ImportanceEstimate, importance_bound

__all__ = ["ELBOEstimate", "ImportanceEstimate", "full_elbo", "importance_bound"]
