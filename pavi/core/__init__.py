"""Template models and plate-batches; knows torch and nothing else of ours."""

from pavi.core.batch import PlateBatch
from pavi.core.initial import KMeans
from pavi.core.model import HierarchicalModel
from pavi.core.plates import Plate
from pavi.core.simulation import Simulation
from pavi.core.sites import Covariate, Latent, Observed

__all__ = [
    "Covariate",
    "HierarchicalModel",
    "KMeans",
    "Latent",
    "Observed",
    "Plate",
    "PlateBatch",
    "Simulation",
]
