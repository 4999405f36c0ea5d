"""Bridges to other libraries: reference draws by NUTS, and models written for Pyro."""

from pavi.interop.comparison import Comparison, compare
from pavi.interop.nuts import reference_posterior
from pavi.interop.reference import Moments, ReferencePosterior

__all__ = ["Comparison", "Moments", "ReferencePosterior", "compare", "reference_posterior"]
