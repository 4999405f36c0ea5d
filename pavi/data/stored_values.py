"""Values that a batch reads from a store, with the checks that arrays pass when they are given."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel, Observed
from pavi.data.arrays import check_support
from pavi.data.stores import Store
from pavi.files import size_told

# Bytes of one site that one batch may read: more is all of a store that was not meant to be read.
LARGEST = 2**30


def stored_values(
    name: str,
    store: Store,
    model: HierarchicalModel,
    *,
    rows: Mapping[str, np.ndarray],
    like: Tensor,
) -> Tensor:
    """Read some rows of a site, `(*plates, *event)`.

    Args:
        name: The site.
        store: Where its values lie.
        model: The template.
        rows: Per plate, row numbers; all rows of a plate that is not named.
        like: A tensor of the floating-point type of the data. Whole numbers of a covariate keep
            their type.

    Raises:
        ValueError: If these are more than `LARGEST` bytes, a value is not finite, or it lies
            outside the support of the site.
    """
    site = model.sites[name]
    chosen = [rows.get(plate) for plate in site.plates]
    kept = isinstance(site, Observed) or store.dtype.kind == "f"
    dtype = like.dtype if kept else getattr(torch, store.dtype.name)
    counts = [n if r is None else len(r) for r, n in zip(chosen, store.shape, strict=False)]
    shape = (*counts, *store.shape[len(chosen) :])
    if (size := math.prod(shape) * dtype.itemsize) > LARGEST:
        axes = " x ".join(f"{count:,} {p}" for p, count in zip(site.plates, shape, strict=False))
        raise ValueError(
            f"{name!r} lies in {store!r}, and a batch of {axes} would read {size_told(size)} of "
            f"it at once, more than {size_told(LARGEST)}; name fewer rows of its plates, as "
            "batch={...} does for a fit, or do without its values."
        )
    values = store.take(chosen, dtype=dtype)
    # One sum tells whether all is well, at a tenth of the time of looking at every value.
    if dtype.is_floating_point and not math.isfinite(float(values.sum())):
        _check_finite(name, store, values, site.plates, chosen)
    if isinstance(site, Observed):
        check_support(name, values, model.supports[name])
    return values


def _check_finite(
    name: str,
    store: Store,
    values: Tensor,
    plates: Sequence[str],
    rows: list[np.ndarray | None],
) -> None:
    bad = (~torch.isfinite(values)).nonzero()
    if not len(bad):
        return
    first = bad[0].tolist()
    where = ", ".join(
        f"{plate} {place if numbers is None else numbers[place]}"
        for plate, numbers, place in zip(plates, rows, first, strict=False)
    )
    raise ValueError(
        f"{name!r}: {len(bad)} of {values.numel()} values that a batch read from {store!r} are "
        f"NaN or infinite, the first at {where}; a store must hold finite values: fill them, or "
        "leave such rows out."
    )
