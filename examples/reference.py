"""The reference posterior of an example, drawn once and kept between runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
from rich.console import Console
from torch import Tensor

from pavi import HierarchicalModel, PlateData
from pavi.interop import Moments, reference_posterior

KEPT = Path("runs") / "examples"


@final
@dataclass(frozen=True)
class Reference:
    """A posterior by Markov chain Monte Carlo.

    Args:
        moments: Its means and standard deviations.
        facts: How it was made: chains, draws, seconds, R-hat.
    """

    moments: Moments
    facts: Mapping[str, Any]


def kept_reference(
    name: str,
    model: HierarchicalModel,
    data: PlateData,
    *,
    fresh: bool,
    settings: Mapping[str, Any],
) -> Reference:
    """The reference of an example: the one kept on disk, or one that is drawn now and kept.

    Args:
        name: Of the example.
        model: The template.
        data: The data.
        fresh: Whether to draw it again.
        settings: Further arguments of `reference_posterior`.
    """
    path = KEPT / f"{name}.safetensors"
    if path.exists() and not fresh:
        tensors = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()["facts"])
        return Reference(Moments(_part(tensors, "mean"), _part(tensors, "sd")), facts)
    drawn = reference_posterior(model, data, progress=True, **settings)
    Console().print(drawn)
    moments = drawn.moments()
    chains, draws = next(iter(drawn.draws.values())).shape[:2]
    facts = {
        "sampler": "nutpie",
        "chains": chains,
        "draws": draws,
        "seconds": drawn.seconds + drawn.compile_seconds,
        "gradients": drawn.gradients,
        "divergences": drawn.divergences,
        "largest_r_hat": drawn.largest_r_hat,
        "smallest_ess": drawn.smallest_ess,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {f"mean.{name}": value.contiguous() for name, value in moments.mean.items()}
    tensors |= {f"sd.{name}": value.contiguous() for name, value in moments.sd.items()}
    safetensors.torch.save_file(tensors, path, metadata={"facts": json.dumps(facts)})
    return Reference(moments, facts)


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
