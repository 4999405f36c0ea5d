"""Plate-amortized variational inference for large hierarchical Bayesian models."""

from pavi import interop, models
from pavi.amortize import amortize
from pavi.core import Covariate, HierarchicalModel, KMeans, Latent, Observed, Plate, PlateBatch
from pavi.data import PlateData, PlateDataModule, Shard, SimulatedDataModule
from pavi.encodings import (
    DeepSetEncodings,
    FreeEncodings,
    HybridEncodings,
    SetTransformerEncodings,
)
from pavi.fit import fit
from pavi.flows import AffineFlow, CouplingFlow, MAFFlow, NSFFlow
from pavi.guides import PlateAmortizedGuide
from pavi.objectives import ForwardKL, ReducedELBO, WarmUp
from pavi.posterior import AmortizedPosterior, Posterior
from pavi.training import Optimization, VariationalInference

__version__ = "0.1.0"

__all__ = [
    "AffineFlow",
    "AmortizedPosterior",
    "CouplingFlow",
    "Covariate",
    "DeepSetEncodings",
    "ForwardKL",
    "FreeEncodings",
    "HierarchicalModel",
    "HybridEncodings",
    "KMeans",
    "Latent",
    "MAFFlow",
    "NSFFlow",
    "Observed",
    "Optimization",
    "Plate",
    "PlateAmortizedGuide",
    "PlateBatch",
    "PlateData",
    "PlateDataModule",
    "Posterior",
    "ReducedELBO",
    "SetTransformerEncodings",
    "Shard",
    "SimulatedDataModule",
    "VariationalInference",
    "WarmUp",
    "amortize",
    "fit",
    "interop",
    "models",
]
