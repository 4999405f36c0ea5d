"""What columns a model's data have."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from torch.distributions import constraints

from pavi.core import HierarchicalModel
from pavi.data.arrays import fixed_support
from pavi.data.frame import needs_labels


@final
@dataclass(frozen=True)
class Column:
    """A column of a model's data.

    Args:
        name: As in the header.
        site: The site or plate that it belongs to.
        kind: `"labels"`, `"observed"` or `"covariate"`.
        holds: In words.
        required: Whether it must be there.
        support: Where its numbers must lie, where that is known beforehand.
    """

    name: str
    site: str
    kind: str
    holds: str
    required: bool = True
    support: constraints.Constraint | None = None


def expected_columns(model: HierarchicalModel) -> list[Column]:
    """The columns of a long table: labels of plates, then values of sites.

    Args:
        model: The template.
    """
    found = []
    for plate in model.plates:
        required = needs_labels(model, plate)
        holds = f"which {plate} a line belongs to"
        if not required:
            holds += f"; without it every line is one {plate}"
        found.append(Column(plate, plate, "labels", holds, required))
    for name in (*model.observed, *model.covariates):
        site = model.sites[name]
        numbers = prod(site.event_shape)
        names = [f"{name}_{i}" for i in range(numbers)] if site.event_shape else [name]
        holds = "measured" if site.kind == "observed" else "a covariate"
        holds += f", one number per {' and '.join(site.plates) or 'file'}"
        # The support of a vector is that of all its columns together.
        scalar = site.kind == "observed" and not site.event_shape
        support = fixed_support(model.supports[name]) if scalar else None
        found += [Column(each, name, site.kind, holds, support=support) for each in names]
    return found
