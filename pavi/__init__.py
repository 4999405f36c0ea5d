"""Plate-amortized variational inference for large hierarchical Bayesian models."""

from typing import TYPE_CHECKING

from pavi.lazy import lazy

if TYPE_CHECKING:
    from pavi import interop, models
    from pavi.amortization import amortize
    from pavi.core import Covariate, HierarchicalModel, KMeans, Latent, Observed, Plate, PlateBatch
    from pavi.data import PlateData, PlateDataModule, Shard, SimulatedDataModule
    from pavi.encodings import (
        DeepSetEncodings,
        FreeEncodings,
        HybridEncodings,
        SetTransformerEncodings,
    )
    from pavi.fitting import fit
    from pavi.flows import AffineFlow, CouplingFlow, MAFFlow, NSFFlow
    from pavi.guides import PlateAmortizedGuide
    from pavi.objectives import ForwardKL, ReducedELBO, WarmUp
    from pavi.posterior import AmortizedPosterior, Posterior
    from pavi.training import Optimization, VariationalInference

__version__ = "0.1.0"

__getattr__ = lazy(
    __name__,
    {
        "pavi.amortization": ("amortize",),
        "pavi.core": (
            "Covariate",
            "HierarchicalModel",
            "KMeans",
            "Latent",
            "Observed",
            "Plate",
            "PlateBatch",
        ),
        "pavi.data": ("PlateData", "PlateDataModule", "Shard", "SimulatedDataModule"),
        "pavi.encodings": (
            "DeepSetEncodings",
            "FreeEncodings",
            "HybridEncodings",
            "SetTransformerEncodings",
        ),
        "pavi.fitting": ("fit",),
        "pavi.flows": ("AffineFlow", "CouplingFlow", "MAFFlow", "NSFFlow"),
        "pavi.guides": ("PlateAmortizedGuide",),
        "pavi.objectives": ("ForwardKL", "ReducedELBO", "WarmUp"),
        "pavi.posterior": ("AmortizedPosterior", "Posterior"),
        "pavi.training": ("Optimization", "VariationalInference"),
    },
    modules=(
        "core",
        "data",
        "diagnostics",
        "encodings",
        "flows",
        "guides",
        "interop",
        "metrics",
        "models",
        "objectives",
        "posterior",
        "training",
    ),
)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
