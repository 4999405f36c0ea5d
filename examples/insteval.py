"""InstEval: 73,421 ratings of 1,128 lecturers by 2,972 students, a sparse crossing.

python -m examples.insteval
"""

from __future__ import annotations

from matplotlib.figure import Figure

import pavi
from examples.example import Example, main
from examples.figures import ordered
from examples.stored import stored
from experiments.problems.insteval import data, model
from pavi import HierarchicalModel, PlateData, Posterior


def fit(template: HierarchicalModel, values: PlateData, *, steps: int, seed: int) -> Posterior:
    """Encodings computed by two rounds of messages, and free rows for what these leave unsaid."""
    encodings = pavi.HybridEncodings(pavi.DeepSetEncodings(rounds=2))
    return pavi.fit(template, values, encodings=encodings, steps=steps, seed=seed)


def figure(posterior: Posterior) -> Figure:
    """Students and lecturers in order."""
    drawn = posterior.sample("student_effect", "lecturer_effect", draws=1000)
    figure = Figure(figsize=(9.4, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, site in ((left, "student"), (right, "lecturer")):
        effects = drawn[f"{site}_effect"].numpy()
        count = f"{effects.shape[1]:,} {site}s, in order"
        ordered(axes, effects, title=f"{site.capitalize()}s", x=count, y="points of the rating")
    return figure


EXAMPLE = Example(
    name="insteval",
    title="73,421 ratings of 1,128 lecturers by 2,972 students, crossed",
    model=model,
    data=data,
    fit=fit,
    figure=figure,
    steps=2000,
    reference=lambda: stored("insteval", chains=2, draws=4000),
)

if __name__ == "__main__":
    main(EXAMPLE)
