"""Flows as compiled code, for the time of a training run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.distributions import Distribution

from pavi.flows import ConditionalFlow
from pavi.guides.base import Guide


@contextmanager
def compiled(guide: Guide, *, enabled: bool = True) -> Iterator[None]:
    """Run the flows of a guide through `torch.compile` inside; afterwards they are as before.

    Compiled are both directions of every flow, which is where a step with an autoregressive flow
    spends its time. What surrounds them is the model's own code, which may be anything, and
    look-ups that compilation does not speed up. The first steps take up to a minute.

    Args:
        guide: The guide; one without flows stays as it is.
        enabled: Whether to compile at all.
    """
    flows = [module for module in guide.modules() if isinstance(module, ConditionalFlow)]
    directions = [(flow, name) for flow in flows for name in ("forward", "inverse")]
    if not enabled:
        directions = []
    validates = Distribution._validate_args
    for flow, name in directions:
        vars(flow)[name] = torch.compile(getattr(flow, name))
    try:
        yield
    finally:
        for flow, name in directions:
            del vars(flow)[name]
        # torch.compile turns the validation of all distributions off and leaves it so.
        Distribution.set_default_validate_args(validates)
