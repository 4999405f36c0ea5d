"""The reference posterior of an example: drawn once by NUTS, and kept with the project."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import safetensors
import safetensors.torch
import torch
from rich.console import Console
from torch import Tensor

from pavi import HierarchicalModel, PlateData
from pavi.interop import Moments, ReferencePosterior, reference_posterior

FOLDER = Path(__file__).parent / "nuts"
# Draws of the globals that are kept, for the figure: evenly spaced over all chains.
KEPT_DRAWS = 2000


@final
@dataclass(frozen=True)
class Reference:
    """A posterior by Markov chain Monte Carlo.

    Args:
        moments: Its means and standard deviations.
        facts: How it was made: chains, draws, seconds, R-hat.
        draws: Of the sites without plates, `(draws, *event)`; none where only moments are kept.
    """

    moments: Moments
    facts: Mapping[str, Any]
    draws: Mapping[str, Tensor] = field(default_factory=dict)


def kept_reference(
    name: str,
    model: HierarchicalModel,
    data: PlateData,
    *,
    fresh: bool,
    settings: Mapping[str, Any],
    folder: Path = FOLDER,
) -> Reference:
    """The reference of an example: the one kept on disk, or one that is drawn now and kept.

    Args:
        name: Of the example.
        model: The template.
        data: The data.
        fresh: Whether to draw it again.
        settings: Further arguments of `reference_posterior`.
        folder: Where it is kept.
    """
    path = folder / f"{name}.safetensors"
    if not path.exists() or fresh:
        began = time.process_time()
        drawn = reference_posterior(model, data, progress=True, **settings)
        Console().print(drawn)
        keep(path, model, drawn, cpu_seconds=time.process_time() - began)
    return _read(path)


def keep(
    path: Path, model: HierarchicalModel, drawn: ReferencePosterior, *, cpu_seconds: float
) -> None:
    """Write the moments of all sites and draws of those without plates.

    Args:
        path: A safetensors file.
        model: The template.
        drawn: By NUTS.
        cpu_seconds: What it took of the processor, which other work does not lengthen.
    """
    moments = drawn.moments()
    chains, draws = next(iter(drawn.draws.values())).shape[:2]
    facts = {
        "sampler": "nutpie",
        "chains": chains,
        "draws": draws,
        "seconds": drawn.seconds + drawn.compile_seconds,
        "cpu_seconds": cpu_seconds,
        "gradients": drawn.gradients,
        "divergences": drawn.divergences,
        "largest_r_hat": drawn.largest_r_hat,
        "smallest_ess": drawn.smallest_ess,
    }
    places = torch.linspace(0, chains * draws - 1, min(KEPT_DRAWS, chains * draws)).long()
    tensors = {}
    for site in model.latents:
        tensors[f"mean.{site}"] = moments.mean[site]
        tensors[f"sd.{site}"] = moments.sd[site]
        if not model.sites[site].plates:
            tensors[f"draws.{site}"] = drawn.draws[site].flatten(0, 1)[places]
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.float().contiguous() for name, value in tensors.items()}
    safetensors.torch.save_file(tensors, path, metadata={"facts": json.dumps(facts)})


def _read(path: Path) -> Reference:
    tensors = safetensors.torch.load_file(path)
    with safetensors.safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
    moments = Moments(_part(tensors, "mean"), _part(tensors, "sd"))
    return Reference(moments, facts, _part(tensors, "draws"))


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
