"""What a saved posterior remembers of its model, to notice another one."""

from __future__ import annotations

from typing import Any

from pavi.core import HierarchicalModel


def signature(model: HierarchicalModel) -> dict[str, Any]:
    """The plates and sites of a model as plain values; conditionals are code and stay out."""
    return {
        "plates": {name: list(plate.within) for name, plate in model.plates.items()},
        "sites": {
            name: {
                "kind": site.kind,
                "plates": list(site.plates),
                "parents": list(site.parents),
                "event_shape": list(site.event_shape),
                "support": str(model.supports.get(name, "")),
            }
            for name, site in model.sites.items()
        },
    }


def difference(saved: dict[str, Any], given: dict[str, Any]) -> str | None:
    """The first difference between two signatures, in words."""
    for part in ("plates", "sites"):
        one, other = saved[part], given[part]
        if list(one) != list(other):
            return f"its {part} are {list(one)}, those of the given model {list(other)}"
        for name in one:
            if one[name] != other[name]:
                return f"{part[:-1]} {name!r} is {one[name]} in it and {other[name]} in the model"
    return None
