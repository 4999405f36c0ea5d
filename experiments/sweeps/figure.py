"""What a sweep found, as a figure: the metric against each dimension of its space."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.trial import FrozenTrial, TrialState

from experiments.figures import BLUE, GREY, RED
from experiments.sweeps.config import DimensionConfig, SweepConfig
from experiments.sweeps.space import text

WIDTH, HEIGHT = 3.4, 3.4  # inches of a panel
LOG_FROM = 20.0  # the ratio of the largest to the smallest value from which their axis is a log


def sweep_figure(trials: Sequence[FrozenTrial], config: SweepConfig) -> Figure:
    """A panel per dimension, with the best trial in colour and those without a value below."""
    figure = Figure(figsize=(max(4.5, WIDTH * len(config.space)), HEIGHT), layout="constrained")
    panels = figure.subplots(1, len(config.space), squeeze=False, sharey=True)[0]
    for axes, (key, dimension) in zip(panels, config.space.items(), strict=True):
        _panel(axes, trials, key, dimension)
    done = [t.value for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    if done and min(done) > 0 and max(done) > LOG_FROM * min(done):
        panels[0].set_yscale("log")
    panels[0].set_ylabel(config.minimise)
    panels[-1].legend(frameon=False, fontsize=8)
    return figure


def _panel(
    axes: Axes, trials: Sequence[FrozenTrial], key: str, dimension: DimensionConfig
) -> None:
    places = None
    if dimension.values is not None:
        places = {text(value): place for place, value in enumerate(dimension.values)}
        axes.set_xticks(range(len(places)), list(places))
        axes.set_xlim(-0.5, len(places) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")

    def place(trial: FrozenTrial) -> float:
        value = trial.params[key]
        return float(value if places is None else places[value])

    done = [t for t in trials if t.state is TrialState.COMPLETE and t.value is not None]
    done.sort(key=lambda trial: trial.value or 0.0)
    axes.scatter(
        [place(t) for t in done[1:]],
        [t.value or 0.0 for t in done[1:]],
        s=18,
        color=BLUE,
        label="complete",
    )
    if done:
        axes.scatter(place(done[0]), done[0].value or 0.0, s=40, color=RED, label="best")
    for state, marker, label in (
        (TrialState.PRUNED, "|", "pruned"),
        (TrialState.FAIL, "x", "crashed"),
    ):
        if chosen := [place(t) for t in trials if t.state is state and key in t.params]:
            axes.plot(
                chosen,
                [0.02] * len(chosen),
                marker,
                color="black" if marker == "x" else GREY,
                label=label,
                transform=axes.get_xaxis_transform(),
                clip_on=False,
            )
    axes.set_xlabel(key)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
