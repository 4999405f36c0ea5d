"""Running a Pyro model with given values, and what it says of its sites on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isclose
from typing import Any, final

import torch
from torch import Tensor

from pavi.core.distributions import unvalidated
from pavi.interop.distribution_parts import Parts


@final
@dataclass(frozen=True)
class PyroPlate:
    """A plate of a Pyro model.

    Args:
        name: The name.
        dim: Its axis, counted from the last batch axis, negative.
        size: The number of its rows.
        drawn: How many of these one run of the model draws.
    """

    name: str
    dim: int
    size: int
    drawn: int


@final
@dataclass(frozen=True)
class PyroSite:
    """A sample statement of a Pyro model, in one run of it.

    Args:
        name: The name.
        plates: Leftmost first.
        parts: Of its distribution.
        batch_shape: Of its distribution.
        event_shape: Of its distribution.
        value: What it was, `(*plates, *event)` with ones where no plate lies.
        observed: Whether its value is data.
    """

    name: str
    plates: tuple[PyroPlate, ...]
    parts: Parts
    batch_shape: tuple[int, ...]
    event_shape: tuple[int, ...]
    value: Tensor
    observed: bool


@final
class Replay:
    """A Pyro model with its arguments.

    Args:
        model: The function.
        arguments: Its positional arguments.
    """

    def __init__(self, model: Callable[..., Any], arguments: Sequence[Any]) -> None:
        self._model, self._arguments = model, tuple(arguments)

    def run(
        self, values: Mapping[str, Tensor], *, rows: Mapping[str, Tensor]
    ) -> dict[str, PyroSite]:
        """Run the model once.

        Args:
            values: Of latent sites, as Pyro shapes them; others are drawn.
            rows: Of the plates that are subsampled, which rows to draw.

        Raises:
            ValueError: If the model does what a template cannot say; the site is named.
        """
        import pyro
        from pyro import poutine

        given = {**values, **rows}
        with pyro.validation_enabled(False), unvalidated():
            conditioned = poutine.condition(self._model, data=given)
            trace = poutine.trace(conditioned).get_trace(*self._arguments)
        found = {}
        for name, node in trace.nodes.items():
            if node["type"] == "param":
                raise ValueError(
                    f"pyro.param {name!r} is a number to optimise, which a template has not; "
                    "give it a prior with pyro.sample, or pass its value as a constant."
                )
            if node["type"] != "sample" or type(node["fn"]).__name__ == "_Subsample":
                continue
            if (node["infer"] or {}).get("_deterministic"):
                continue
            found[name] = _site(name, node, observed=node["is_observed"] and name not in values)
        return found


def _site(name: str, node: Mapping[str, Any], *, observed: bool) -> PyroSite:
    if not name.isidentifier():
        raise ValueError(
            f"site {name!r}: a name must be a Python identifier; rename it in the Pyro model."
        )
    family = type(node["fn"]).__name__
    if family == "Unit":
        raise ValueError(
            f"site {name!r} is a pyro.factor, a density without a variable; a template has none."
        )
    if node["mask"] is not None or family == "MaskedDistribution":
        raise ValueError(
            f"site {name!r} is masked; leave rows out of its plate, or give its data as NaN to "
            "PlateData with missing='ignore'."
        )
    plates, expected = [], 1.0
    for frame in node["cond_indep_stack"]:
        if frame.dim is None:
            raise ValueError(
                f"site {name!r} lies in the loop `for ... in pyro.plate({frame.name!r})`, which "
                f"makes a site of every row; write `with pyro.plate({frame.name!r}, ...):`."
            )
        size = int(frame.full_size or frame.size)
        plates.append(PyroPlate(frame.name, frame.dim, size, int(frame.size)))
        expected *= size / frame.size
    if not isclose(float(node["scale"]), expected, rel_tol=1e-6):
        raise ValueError(
            f"site {name!r} is weighted by {float(node['scale']):g} with pyro.poutine.scale, "
            "which a template cannot say."
        )
    try:
        parts = Parts.of(node["fn"])
    except ValueError as error:
        raise ValueError(f"site {name!r}: {error}, and cannot be read.") from None
    return PyroSite(
        name=name,
        plates=tuple(sorted(plates, key=lambda plate: plate.dim)),
        parts=parts,
        batch_shape=tuple(node["fn"].batch_shape),
        event_shape=tuple(node["fn"].event_shape),
        value=torch.as_tensor(node["value"]).detach(),
        observed=observed,
    )
