"""A summary as a tidy data frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pavi.data import PlateData
from pavi.posterior.checks import check_draws, check_levels, latent_sites
from pavi.posterior.fitted import Fitted
from pavi.posterior.summary import LEVELS, summarise

if TYPE_CHECKING:
    import pandas as pd


def to_frame(
    posterior: Fitted,
    *sites: str,
    draws: int = 1000,
    seed: int = 0,
    levels: tuple[float, ...] = LEVELS,
) -> pd.DataFrame:
    """The summary as a tidy frame: one row per ground variable and entry of its value.

    Args:
        posterior: The posterior.
        sites: The sites; all of them by default.
        draws: The number of draws that the summary is computed from, at least two.
        seed: Of the draws.
        levels: The quantile levels.

    Returns:
        The columns `site`; one per plate that a site lies on or within, with the labels of the
        rows or, where there are none, their numbers, and None where it is not on that plate;
        `index`, the entry of a vector as a number or of a larger array as a tuple, None for a
        scalar; `mean`, `sd`, and the quantiles, named as `5%`.

    Raises:
        ImportError: Without pandas, which the extra `data` brings.
        ValueError: As `summary`.
    """
    try:
        import pandas as pd
    except ImportError:
        raise ImportError(
            "to_frame() needs pandas, which is optional: pip install 'pavi-torch[data]'"
        ) from None

    guide, data = posterior.guide, posterior.data
    wanted = latent_sites(guide, data, sites)
    check_draws(draws, least=2)
    check_levels(levels)
    summary = summarise(guide, data, wanted, draws=draws, seed=seed, levels=levels)
    graph = data.model.plates
    reached = graph.closure([plate for plates in summary.plates.values() for plate in plates])
    columns = [plate for plate in graph if plate in reached]
    parts = []
    for site, mean in summary.mean.items():
        plates, shape = summary.plates[site], tuple(mean.shape)
        places = np.indices(shape, dtype=np.int64).reshape(len(shape), mean.numel())
        found = {"site": _objects([site] * mean.numel())}
        for plate in columns:
            on = dict(zip(plates, places, strict=False))
            found[plate] = _labels(data, plate, on, mean.numel())
        found["index"] = _entries(places[len(plates) :], mean.numel())
        found["mean"], found["sd"] = mean.numpy().ravel(), summary.sd[site].numpy().ravel()
        for level, quantile in zip(summary.levels, summary.quantiles[site], strict=True):
            found[f"{100 * level:g}%"] = quantile.numpy().ravel()
        parts.append(found)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    frame = pd.DataFrame(joined)
    # A column of labels that every row has takes their own type.
    whole = [name for name in (*columns, "index") if not frame[name].isna().any()]
    frame[whole] = frame[whole].infer_objects()
    return frame


def _labels(data: PlateData, plate: str, places: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Per ground variable the label of its row of a plate, on which or within which it lies."""
    for fine, rows in places.items():
        if fine == plate or plate in data.model.plates.ancestors(fine):
            own = data.parent_rows(fine, plate)[rows]
            if plate in data.labels:
                return _objects(data.labels[plate])[own]
            return own.astype(object)
    return _objects([None] * count)


def _entries(places: np.ndarray, count: int) -> np.ndarray:
    """The places within a value: none, numbers or tuples."""
    if len(places) == 0:
        return _objects([None] * count)
    if len(places) == 1:
        return places[0].astype(object)
    return _objects(list(zip(*places.tolist(), strict=True)))


def _objects(values: Any) -> np.ndarray:
    """An array of objects of one axis, tuples included."""
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found
