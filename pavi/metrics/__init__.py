"""Measures of a fit on the full data, and against reference draws."""

from pavi.metrics.classifier import c2st
from pavi.metrics.full_elbo import ELBOEstimate, full_elbo
from pavi.metrics.importance import ImportanceEstimate, importance_bound
from pavi.metrics.pareto import khat_threshold, pareto_khat, pareto_smoothed
from pavi.metrics.wasserstein import marginal_wasserstein

__all__ = [
    "ELBOEstimate",
    "ImportanceEstimate",
    "c2st",
    "full_elbo",
    "importance_bound",
    "khat_threshold",
    "marginal_wasserstein",
    "pareto_khat",
    "pareto_smoothed",
]
