"""What a posterior checks of what it is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.guides.base import Guide
from pavi.metrics.absent_covariates import absent_covariates
from pavi.posterior.signature import difference, signature


def check_covariates(guide: Guide, data: PlateData, sites: Sequence[str]) -> None:
    """The data hold the covariates that a draw of these sites needs.

    Raises:
        ValueError: If one is absent.
    """
    for site, absent in absent_covariates(guide, data, sites).items():
        raise ValueError(
            f"drawing {list(sites)} needs the prior of {site!r}, which depends on the "
            f"covariate {absent[0]!r}; the data hold {list(data.measured)}. "
            "Load the posterior with Posterior.load(path, model, data=...)."
        )


def check_data(data: Any, model: HierarchicalModel, *, observed: bool) -> None:
    """Data that are handed to a posterior were read for its model.

    Args:
        data: What was handed over.
        model: That of the posterior.
        observed: Whether they hold observed values, as the message says how to make them.

    Raises:
        ValueError: If they are no `PlateData`, or one of another model.
    """
    if not isinstance(data, PlateData):
        how = "" if observed else ", observed=False"
        raise ValueError(
            f"data must be a PlateData, got a {type(data).__name__}; make one with "
            f"PlateData.from_frame(frame, model{how})."
        )
    if found := difference(signature(model), signature(data.model)):
        raise ValueError(f"the data belong to another model than the posterior: {found}.")


def check_draws(draws: Any, *, least: int = 1) -> None:
    """A number of draws is an integer and large enough.

    Raises:
        ValueError: If it is not.
    """
    if not isinstance(draws, Integral) or draws < least:
        raise ValueError(f"draws must be an integer of at least {least}, got {draws!r}.")


def check_levels(levels: Sequence[float]) -> None:
    """Quantile levels lie between 0 and 1.

    Raises:
        ValueError: If one does not.
    """
    if outside := [level for level in levels if not 0 <= level <= 1]:
        raise ValueError(
            f"levels must lie between 0 and 1, such as (0.05, 0.5, 0.95); got {outside[0]!r}."
        )


def row_numbers(
    plate: str, rows: Sequence[int] | np.ndarray, *, size: int, labelled: bool
) -> np.ndarray:
    """Row numbers of a plate as an array.

    Args:
        plate: The plate.
        rows: As the user gave them.
        size: How many rows the plate has.
        labelled: Whether the plate has labels.

    Raises:
        ValueError: If they are no row numbers, or out of range.
    """
    hint = f" posterior.labels[{plate!r}] has the label of every row." if labelled else ""
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(
            f"rows of plate {plate!r} must be a list of row numbers, from 0 to {size - 1}; "
            f"got {rows!r}.{hint}"
        )
    if outside := [int(number) for number in array if not 0 <= number < size]:
        raise ValueError(f"plate {plate!r} has rows 0 to {size - 1}, got {outside[0]}.{hint}")
    return array


def chosen_rows(
    data: PlateData, rows: Mapping[str, Sequence[int] | np.ndarray]
) -> dict[str, np.ndarray]:
    """Row numbers per plate as arrays.

    Args:
        data: The data.
        rows: Per plate, as the user gave them.

    Raises:
        ValueError: If a plate does not exist, a row is out of range or no row number, or two of
            the plates lie within one another.
    """
    graph = data.model.plates
    chosen: dict[str, np.ndarray] = {}
    for plate, numbers in rows.items():
        if plate not in graph:
            raise ValueError(f"{plate!r} is not a plate; plates are {list(graph)}.")
        size, labelled = data.cardinalities[plate], plate in data.labels
        chosen[plate] = row_numbers(plate, numbers, size=size, labelled=labelled)
        related = graph.ancestors(plate) | graph.descendants(plate)
        if clash := sorted(related & set(rows)):
            raise ValueError(
                f"plates {plate!r} and {clash[0]!r} lie within one another; name one of them."
            )
    return chosen


def latent_sites(guide: Guide, data: PlateData, sites: Sequence[str]) -> Sequence[str]:
    """The latent sites to draw, all of them where none is named.

    Raises:
        ValueError: If one does not exist, or the data lack a covariate that a prior needs.
    """
    latents = guide.model.latents
    wanted = sites or latents
    if unknown := [site for site in wanted if site not in latents]:
        raise ValueError(f"{unknown[0]!r} is not a latent site; these are {list(latents)}.")
    check_covariates(guide, data, wanted)
    return wanted


def check_observed(data: PlateData, purpose: str) -> None:
    """The data hold observed values.

    Args:
        data: The data of a posterior.
        purpose: What needs them, as the subject of a sentence.

    Raises:
        ValueError: If they do not.
    """
    if absent := [site for site in data.model.observed if site not in data.measured]:
        raise ValueError(
            f"{purpose} needs the observed values of {absent}; "
            "load the posterior with Posterior.load(path, model, data=...)."
        )
