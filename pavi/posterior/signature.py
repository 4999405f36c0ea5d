"""What a saved posterior remembers of its model, to notice another one."""

from __future__ import annotations

import math
from typing import Any

from pavi.core import HierarchicalModel
from pavi.guides.prior import prior_references

# Priors are described by their draws, which another machine may round otherwise.
ALIKE = 0.01


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


def described_priors(model: HierarchicalModel) -> dict[str, dict[str, list[float]]]:
    """Center and spread of draws of every latent site: what code the signature cannot see says."""
    return {
        name: {"center": found.center.tolist(), "spread": found.spread.tolist()}
        for name, found in prior_references(model).items()
    }


def other_prior(saved: dict[str, dict[str, list[float]]], model: HierarchicalModel) -> str | None:
    """The first latent site whose prior is not the one that was saved, in words."""
    for name, here in described_priors(model).items():
        there = saved[name]
        for what, values in here.items():
            for one, other, scale in zip(there[what], values, there["spread"], strict=True):
                if not math.isclose(one, other, rel_tol=0, abs_tol=ALIKE * scale):
                    return (
                        f"the {what} of draws from the prior of {name!r} is {one:.4g} in it and "
                        f"{other:.4g} in the model"
                    )
    return None
