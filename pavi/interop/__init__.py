"""Bridges to other libraries: reference draws by NUTS, and models written for Pyro."""

from pavi.interop.comparison import Comparison, compare
from pavi.interop.from_pyro import FromPyro, from_pyro
from pavi.interop.nuts import reference_posterior
from pavi.interop.reference import Moments, ReferencePosterior

__all__ = [
    "Comparison",
    "FromPyro",
    "Moments",
    "ReferencePosterior",
    "compare",
    "from_pyro",
    "reference_posterior",
]
