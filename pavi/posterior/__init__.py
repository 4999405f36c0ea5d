"""What one does with a fit."""

from pavi.posterior.amortized import AmortizedPosterior
from pavi.posterior.posterior import Posterior
from pavi.posterior.resampling import Resampled
from pavi.posterior.summary import Summary

__all__ = ["AmortizedPosterior", "Posterior", "Resampled", "Summary"]
