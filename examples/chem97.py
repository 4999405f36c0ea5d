"""Chem97: A-level scores of 31,022 pupils in 2,410 schools in 131 authorities.

python -m examples.chem97
"""

from __future__ import annotations

from matplotlib.figure import Figure

import pavi
from examples.example import Example, main
from examples.figures import ordered
from examples.stored import stored
from experiments.problems.chem97 import data, model
from pavi import HierarchicalModel, PlateData, Posterior


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """Everything at its default."""
    return pavi.fit(template, values, steps=steps, seed=seed)


def figure(posterior: Posterior) -> Figure:
    """Authorities and schools in order."""
    drawn = posterior.sample("lea_effect", "school_effect", draws=1000)
    figure = Figure(figsize=(9.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, site, groups in ((left, "lea", "authorities"), (right, "school", "schools")):
        effects = drawn[f"{site}_effect"].numpy()
        count = f"{effects.shape[1]:,} {groups}, in order"
        ordered(axes, effects, title=groups.capitalize(), x=count, y="points of the score")
    return figure


EXAMPLE = Example(
    name="chem97",
    title="31,022 scores: pupils in 2,410 schools in 131 authorities",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=1000,
    reference=lambda: stored("chem97", chains=2, draws=8000),
)

if __name__ == "__main__":
    main(EXAMPLE)
