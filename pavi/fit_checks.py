"""What `pavi.fit` checks of its arguments before it builds anything."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import torch

from pavi.core import HierarchicalModel
from pavi.core.template_check import check_template
from pavi.data import PlateData
from pavi.encodings import Encodings
from pavi.flows import Flow
from pavi.guides.base import Guide
from pavi.objectives import ReducedELBO, WarmUp
from pavi.posterior.signature import difference, signature
from pavi.training import Optimization

KINDS = {
    "encodings": Encodings,
    "flow": Flow,
    "guide": Guide,
    "objective": ReducedELBO,
    "warm_up": WarmUp,
    "optimization": Optimization,
}
EXAMPLES: dict[type, str] = {
    Encodings: "FreeEncodings()",
    Flow: "AffineFlow()",
    Guide: "PlateAmortizedGuide(model, data.cardinalities)",
}
# What a ready guide has decided already; all are None where not given.
OF_A_GUIDE = ("encodings", "flow", "flows")
DEPENDENCE = "faithful"


def check_model_and_data(model: Any, data: Any) -> None:
    """A template, and data that were read for it.

    Raises:
        ValueError: If one is something else, the data belong to another model, or the model
            cannot be drawn from in their floating-point type.
    """
    if isinstance(model, PlateData) and isinstance(data, HierarchicalModel):
        raise ValueError("model and data have changed places: it is fit(model, data).")
    if not isinstance(model, HierarchicalModel):
        raise ValueError(f"model must be a HierarchicalModel, got {_kind(model)}.")
    if not isinstance(data, PlateData):
        raise ValueError(
            f"data must be a PlateData, got {_kind(data)}; make one with "
            "PlateData.from_frame(frame, model) or PlateData.from_arrays(arrays, model)."
        )
    if found := difference(signature(data.model), signature(model)):
        raise ValueError(f"the data were read for another model: {found}.")
    if data.like.dtype != torch.get_default_dtype():
        check_template(model, dtype=data.like.dtype)
    if absent := [n for n in (*model.observed, *model.covariates) if n not in data.measured]:
        raise ValueError(
            f"the data hold no values of {absent}, which the model measures; "
            f"they hold {list(data.measured)}."
        )


def check_choices(model: HierarchicalModel, *, dependence: str, **choices: Any) -> None:
    """The objects that say how to fit are of their kinds and do not contradict each other.

    Args:
        model: The template.
        dependence: What a flow may see.
        choices: The arguments of `pavi.fit` of these names; None where not given.

    Raises:
        ValueError: If one is of another kind, or a guide is given with what it has decided, or is
            one of another model.
    """
    for name, value in choices.items():
        if name in KINDS and value is not None:
            _check_kind(name, value, KINDS[name])
    if (flows := choices.get("flows")) is not None:
        if not isinstance(flows, Mapping):
            raise ValueError(f"flows must be a mapping from sites to flows, got {_kind(flows)}.")
        for site, flow in flows.items():
            _check_kind(f"flows[{site!r}]", flow, Flow)
    if (guide := choices.get("guide")) is None:
        return
    given = [name for name in OF_A_GUIDE if choices.get(name) is not None]
    if given := given + ["dependence"] * (dependence != DEPENDENCE):
        raise ValueError(
            f"guide is given together with {given}, which a ready guide has decided already; "
            "leave these out, or the guide."
        )
    if found := difference(signature(guide.model), signature(model)):
        raise ValueError(f"guide belongs to another model: {found}.")


def check_numbers(*, batch: Any, blocks: Any = None, steps: Any, seed: Any) -> None:
    """Batch sizes, blocks, steps and the seed are integers of the right size.

    Raises:
        ValueError: If one is not.
    """
    _check_integer("steps", steps)
    _check_integer("seed", seed)
    if steps < 1:
        raise ValueError(f"steps must be positive, got {steps}.")
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed must be at least 0 and less than 2**63, got {seed}.")
    for name, sizes in (("batch", batch), ("blocks", blocks)):
        if sizes is None:
            continue
        if not isinstance(sizes, Mapping):
            raise ValueError(
                f"{name} must be a mapping from plates to numbers of rows, such as "
                f"{{'group': 20}}, got {sizes!r}."
            )
        for plate, size in sizes.items():
            _check_integer(f"{name} size of plate {plate!r}", size)


def _check_integer(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}.")


def _check_kind(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        example = EXAMPLES.get(kind, f"{kind.__name__}()")
        raise ValueError(
            f"{name} must be of the kind {kind.__name__}, such as {example}; got {_kind(value)}."
        )


def _kind(value: Any) -> str:
    """What a value is: the value itself where that is short."""
    if isinstance(value, type):
        return f"the class {value.__name__}, which lacks its ()"
    if isinstance(value, str | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
