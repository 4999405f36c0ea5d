"""What columns a model's data have."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from pavi.core import HierarchicalModel
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
    """

    name: str
    site: str
    kind: str
    holds: str
    required: bool = True


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
            holds += "; without it every line is one"
        found.append(Column(plate, plate, "labels", holds, required))
    for name in (*model.observed, *model.covariates):
        site = model.sites[name]
        numbers = prod(site.event_shape)
        names = [f"{name}_{i}" for i in range(numbers)] if site.event_shape else [name]
        holds = f"the {site.kind} {name}" if site.kind == "covariate" else f"what {name} measured"
        if site.plates:
            holds += f", one number per {' and '.join(site.plates)}"
        found += [Column(each, name, site.kind, holds) for each in names]
    return found
