"""Measures of a fit on the full data."""

from pavi.metrics.full_elbo import ELBOEstimate, full_elbo

__all__ = ["ELBOEstimate", "full_elbo"]
