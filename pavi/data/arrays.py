"""Reading arrays with plate axes in front, and saying what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor
from torch.distributions import constraints

from pavi.core import HierarchicalModel, Observed
from pavi.core.distributions import is_real
from pavi.data.stores import Store


@final
@dataclass(frozen=True)
class ArraysRead:
    """What `read_arrays` found; the fields are those of `PlateData`."""

    cardinalities: dict[str, int]
    links: dict[str, dict[str, Tensor]]
    values: dict[str, Tensor]
    present: dict[str, Tensor]
    stores: dict[str, Store]


def read_arrays(
    arrays: Mapping[str, Any],
    model: HierarchicalModel,
    *,
    links: Mapping[str, Any],
    missing: str,
    dtype: torch.dtype,
    observed: bool = True,
    sizes: Mapping[str, int] | None = None,
) -> ArraysRead:
    """See `PlateData.from_arrays`; `sizes` are of plates that neither arrays nor links tell."""
    if missing not in ("error", "ignore"):
        raise ValueError(f"missing must be 'error' or 'ignore', got {missing!r}.")
    stores = {name: array for name, array in arrays.items() if isinstance(array, Store)}
    tensors = {name: _tensor(name, array) for name, array in arrays.items() if name not in stores}
    _check_names(arrays, model, observed=observed)
    indexed = {
        plate: _read_links(plate, model, links)
        for plate in model.plates
        if model.plates[plate].within
    }
    if unknown := sorted(set(links) - set(indexed)):
        raise ValueError(f"links given for {unknown}; indexed plates are {sorted(indexed)}.")
    shapes = {name: tuple((stores.get(name) or tensors[name]).shape) for name in arrays}
    cardinalities = _cardinalities(shapes, indexed, model, sizes or {})
    for plate, parents in indexed.items():
        for parent, rows in parents.items():
            _check_link(plate, parent, rows, cardinalities)
    values, present = {}, {}
    for name, tensor in tensors.items():
        values[name], mask = _read_values(name, tensor, model, missing=missing, dtype=dtype)
        if mask is not None:
            present[name] = mask
    for name, store in stores.items():
        if isinstance(model.sites[name], Observed) and store.dtype.kind != "f":
            _check_kind(name, model, store.dtype)
    return ArraysRead(cardinalities, indexed, values, present, stores)


def _tensor(name: str, array: Any) -> Tensor:
    if isinstance(array, Tensor):
        return array
    array = np.asarray(array)
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name!r}: expected numbers, got an array of {array.dtype}; "
            "give categories as the labels of a plate or as 0/1 columns."
        )
    return torch.from_numpy(np.array(array, order="C"))


def _check_names(arrays: Mapping[str, Any], model: HierarchicalModel, *, observed: bool) -> None:
    measured = {*model.observed, *model.covariates}
    if not observed:
        if given := sorted(set(model.observed) & set(arrays)):
            raise ValueError(
                f"values given for the observed sites {given} with observed=False; leave them "
                "out, or leave observed=True."
            )
        if lacking := sorted(set(model.covariates) - set(arrays)):
            raise ValueError(
                f"no values for the covariates {lacking}, which a prediction needs; the model "
                f"has the covariates {sorted(model.covariates)}, got {sorted(arrays)}."
            )
    elif absent := sorted(measured - set(arrays)):
        raise ValueError(
            f"no values for {absent}; the model measures {sorted(measured)}, got {sorted(arrays)}."
        )
    if unknown := sorted(set(arrays) - measured):
        raise ValueError(
            f"values given for {unknown}, which the model does not measure; "
            f"observed sites and covariates are {sorted(measured)}."
        )


def _read_links(
    plate: str, model: HierarchicalModel, links: Mapping[str, Any]
) -> dict[str, Tensor]:
    within = model.plates[plate].within
    if plate not in links:
        raise ValueError(
            f"plate {plate!r} lies within {list(within)}: give links={{{plate!r}: ...}}, each "
            f"row's parent as a row number; got links for {sorted(links)}."
        )
    given = links[plate]
    if not isinstance(given, Mapping):
        if len(within) > 1:
            raise ValueError(
                f"plate {plate!r} lies within {list(within)}: its links must be a mapping from "
                f"each of these to row numbers, got {type(given).__name__}."
            )
        given = {within[0]: given}
    if set(given) != set(within):
        raise ValueError(
            f"links of plate {plate!r} must name {sorted(within)}, got {sorted(given)}."
        )
    found = {}
    for parent in within:
        rows = _tensor(f"links of {plate} to {parent}", given[parent])
        if rows.is_floating_point() or rows.ndim != 1:
            raise ValueError(
                f"links of plate {plate!r} to {parent!r} must be integers of shape (rows,), "
                f"got {rows.dtype} of shape {tuple(rows.shape)}."
            )
        found[parent] = rows.to(torch.int64)
    return found


def _cardinalities(
    shapes: Mapping[str, tuple[int, ...]],
    links: Mapping[str, Mapping[str, Tensor]],
    model: HierarchicalModel,
    sizes: Mapping[str, int],
) -> dict[str, int]:
    """The size of every plate, from the first that says it; all others must agree.

    `sizes` speak only for plates of which nothing else does.
    """
    said: dict[str, tuple[int, str]] = {}

    def say(plate: str, size: int, source: str) -> None:
        before, first = said.setdefault(plate, (size, source))
        if before != size:
            raise ValueError(
                f"plate {plate!r} has {before} rows by {first}, but {size} by {source}."
            )

    for name, shape in shapes.items():
        site = model.sites[name]
        rank = len(site.plates) + len(site.event_shape)
        if len(shape) != rank or shape[len(site.plates) :] != site.event_shape:
            expected = ", ".join([*site.plates, *map(str, site.event_shape)])
            raise ValueError(f"{name!r}: expected an array of shape ({expected}), got {shape}.")
        for axis, plate in enumerate(site.plates):
            say(plate, shape[axis], f"axis {axis} of {name!r}")
    for plate, parents in links.items():
        for parent, rows in parents.items():
            say(plate, len(rows), f"its links to {parent!r}")
    for plate, parents in links.items():
        for parent, rows in parents.items():
            if parent not in said and len(rows):
                say(parent, int(rows.max()) + 1, f"the links of {plate!r}")
    for plate in model.plates:
        if plate in sizes and plate not in said:
            say(plate, sizes[plate], "its labels")
    if unknown := [plate for plate in model.plates if plate not in said]:
        raise ValueError(
            f"nothing in the data says how many rows the plates {unknown} have; "
            "give labels of their rows."
        )
    if empty := [plate for plate, (size, _) in said.items() if size == 0]:
        raise ValueError(f"plate {empty[0]!r} has no rows.")
    return {plate: said[plate][0] for plate in model.plates}


def _check_link(plate: str, parent: str, rows: Tensor, cardinalities: Mapping[str, int]) -> None:
    groups = cardinalities[parent]
    outside = (rows < 0) | (rows >= groups)
    if outside.any():
        first = int(outside.nonzero()[0])
        raise ValueError(
            f"links of plate {plate!r}: row {first} points to row {int(rows[first])} of "
            f"{parent!r}, which has rows 0 to {groups - 1}."
        )
    counts = torch.bincount(rows, minlength=groups)
    if (counts == 0).any():
        empty = (counts == 0).nonzero().flatten().tolist()
        raise ValueError(
            f"plate {parent!r}: {len(empty)} of {groups} rows have no row of {plate!r}: "
            f"{empty[:5]}{' ...' if len(empty) > 5 else ''}; leave such groups out."
        )


def _read_values(
    name: str, tensor: Tensor, model: HierarchicalModel, *, missing: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """The values in the type of the computation, and where they are present if not everywhere."""
    site = model.sites[name]
    is_observed = isinstance(site, Observed)
    if not tensor.is_floating_point():
        if is_observed:
            _check_kind(name, model, tensor.dtype)
            check_support(name, tensor, model.supports[name])
        return tensor.to(dtype) if is_observed else tensor, None
    tensor = tensor.to(dtype)
    # A sum takes no memory, and is not finite where a number is not.
    if torch.isfinite(tensor.sum()):
        if is_observed:
            check_support(name, tensor, model.supports[name])
        return tensor, None
    if infinite := int(tensor.isinf().sum()):
        raise ValueError(
            f"{name!r}: {infinite} of {tensor.numel()} values are infinite in {dtype}."
        )
    nan = tensor.isnan()
    mask = None
    if count := int(nan.sum()):
        if not is_observed:
            raise ValueError(
                f"covariate {name!r}: {count} of {tensor.numel()} values are NaN; "
                "a covariate has no distribution to leave it to: fill or drop them."
            )
        if missing == "error":
            raise ValueError(
                f"{name!r}: {count} of {tensor.numel()} values are NaN; drop them, or pass "
                "missing='ignore' to leave them out of the likelihood."
            )
        mask = ~nan.flatten(len(site.plates)).any(-1) if site.event_shape else ~nan
        if not mask.any():
            raise ValueError(f"{name!r}: all {tensor.numel()} values are NaN.")
        # Any value in the support does: its log density is masked out.
        tensor = torch.where(_expanded(mask, tensor), tensor, tensor[mask][0])
    if is_observed:
        check_support(name, tensor, model.supports[name])
    return tensor, mask


def _check_kind(name: str, model: HierarchicalModel, dtype: Any) -> None:
    """Whole numbers are observed only where the model draws such."""
    if is_real(model.supports[name]):
        raise ValueError(
            f"{name!r} is real-valued in the model but the data hold integers ({dtype}); convert "
            "them to floating point if that is meant."
        )


def _expanded(mask: Tensor, like: Tensor) -> Tensor:
    return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


def fixed_support(support: constraints.Constraint) -> constraints.Constraint | None:
    """A support that values can be checked against beforehand, or None.

    Those that depend on parameters, as an interval, are known in the step only.
    """
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    fixed: tuple[constraints.Constraint, ...]
    fixed = (constraints.positive, constraints.nonnegative, constraints.boolean)
    fixed += (constraints.nonnegative_integer, constraints.unit_interval, constraints.simplex)
    return support if support in fixed else None


def check_support(name: str, tensor: Tensor, support: constraints.Constraint) -> None:
    """See that values lie where a distribution draws them, if that is known beforehand.

    Raises:
        ValueError: If one does not.
    """
    if (fixed := fixed_support(support)) is None:
        return
    check: Callable[[Tensor], Tensor] = fixed.check
    if not (valid := check(tensor)).all():
        wrong = int((~valid).sum())
        example = tensor[~valid].flatten()[0]
        raise ValueError(
            f"{name!r}: {wrong} of {valid.numel()} values lie outside the support of its "
            f"distribution, {fixed}; for instance {float(example):g}."
        )
