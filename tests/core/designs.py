"""Small models of every plate design, with constrained sites, vectors and covariates."""

from __future__ import annotations

import torch
from torch.distributions import HalfNormal, Normal

from pavi.core import Covariate, HierarchicalModel, Latent, Observed, Plate


def ragged_nest() -> HierarchicalModel:
    return HierarchicalModel(
        [Plate("lea"), Plate("school", within="lea"), Plate("pupil", within="school")],
        {
            "mu": Latent(lambda: Normal(1.0, 2.0)),
            "tau": Latent(lambda: HalfNormal(2.0)),
            "a": Latent(lambda mu: Normal(mu, 1.5), "lea"),
            "b": Latent(lambda a, tau: Normal(a, tau), "school"),
            "x": Covariate("pupil"),
            "y": Observed(lambda a, b, x: Normal(b + 0.1 * a * x, 0.5), "pupil"),
        },
    )


def sparse_crossing() -> HierarchicalModel:
    return HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
        {
            "mu": Latent(lambda: Normal(0.0, 2.0)),
            "tau": Latent(lambda: HalfNormal(1.0)),
            "s": Latent(lambda tau: Normal(0.0, tau), "student"),
            "l": Latent(lambda mu: Normal(mu, 1.0), "lecturer"),
            "y": Observed(lambda s, l, tau: Normal(s + l, 0.3 + tau), "rating"),
        },
    )


def dense_crossing() -> HierarchicalModel:
    return HierarchicalModel(
        [Plate("subject"), Plate("session"), Plate("vertex")],
        {
            "mu": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,)),
            "t": Latent(lambda mu: Normal(mu, 1.0), "subject", event_shape=(2,)),
            "k": Latent(lambda: HalfNormal(1.0), "vertex"),
            "c": Latent(lambda t, k: Normal(t, k), ("subject", "vertex"), event_shape=(2,)),
            "y": Observed(lambda c, k: Normal(c, 1.0 + k), ("subject", "session", "vertex"), (2,)),
        },
    )
