"""A posterior on disk: a folder of JSON and safetensors, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.encodings import (
    DeepSetEncodings,
    FreeEncodings,
    HybridEncodings,
    SetTransformerEncodings,
)
from pavi.flows import AffineFlow, MAFFlow, NSFFlow
from pavi.guides.base import Guide
from pavi.guides.plate_amortized import PlateAmortizedGuide
from pavi.posterior.signature import difference, signature

FORMAT = 1
CARD, WEIGHTS, LINKS = "posterior.json", "weights.safetensors", "links.safetensors"
# Of a guide that computes its encodings from data: those of the data it was fitted to.
ENCODINGS = "encodings.safetensors"
# What a saved guide may be built of, by name.
CHOICES: dict[str, Callable[..., Any]] = {
    choice.__name__: choice
    for choice in (
        FreeEncodings,
        DeepSetEncodings,
        HybridEncodings,
        SetTransformerEncodings,
        AffineFlow,
        MAFFlow,
        NSFFlow,
    )
}


@final
@dataclass(frozen=True)
class Saved:
    """What a folder holds.

    Args:
        guide: As it was trained.
        data: The data; without measured values if none were given.
        encodings: Of all rows, where the guide computes them from data.
        history: The course of the ELBO.
    """

    guide: PlateAmortizedGuide
    data: PlateData
    encodings: dict[str, torch.Tensor] | None
    history: dict[str, list[float | int]]


def write_posterior(
    path: Path,
    *,
    guide: Guide,
    data: PlateData,
    encodings: Mapping[str, torch.Tensor] | None,
    history: Mapping[str, Sequence[float | int]],
) -> None:
    """See `Posterior.save`."""
    if path.exists() and not (path / CARD).is_file():
        raise ValueError(f"{path} exists and is not a saved posterior; choose another folder.")
    card = {
        "format": FORMAT,
        "model": signature(guide.model),
        "guide": guide.config(),
        "cardinalities": dict(data.cardinalities),
        "labels": {plate: list(names) for plate, names in data.labels.items()},
        "dtype": str(data.like.dtype).removeprefix("torch."),
        "history": dict(history),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        (fresh / CARD).write_text(json.dumps(card, indent=1))
        state = {key: value.contiguous().cpu() for key, value in guide.state_dict().items()}
        save_file(state, fresh / WEIGHTS)
        if encodings is not None:
            save_file({k: v.contiguous().cpu() for k, v in encodings.items()}, fresh / ENCODINGS)
        links = {
            f"{plate}/{parent}": rows
            for plate, parents in data.links.items()
            for parent, rows in parents.items()
        }
        save_file(links, fresh / LINKS)
        if path.exists():
            shutil.rmtree(path)
        os.replace(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_posterior(path: Path, model: HierarchicalModel, data: PlateData | None) -> Saved:
    """See `Posterior.load`."""
    if not (path / CARD).is_file():
        raise ValueError(f"{path} is not a saved posterior: it has no {CARD}.")
    try:
        card = json.loads((path / CARD).read_text())
        weights, links = load_file(path / WEIGHTS), load_file(path / LINKS)
        held = path / ENCODINGS
        encodings = load_file(held) if held.is_file() else None
    except (OSError, ValueError, SafetensorError) as error:
        raise ValueError(f"{path} cannot be read; a file is damaged or absent: {error}") from error
    if card["format"] != FORMAT:
        raise ValueError(f"{path} has format {card['format']}; this version reads {FORMAT}.")
    if found := difference(card["model"], signature(model)):
        raise ValueError(f"{path} belongs to another model: {found}.")
    if data is None:
        data = _without_values(card, links, model)
    elif dict(data.cardinalities) != card["cardinalities"]:
        raise ValueError(
            f"{path} was fitted to other data: its plates have {card['cardinalities']} rows, "
            f"those of the given data {dict(data.cardinalities)}."
        )
    config = card["guide"]
    guide = PlateAmortizedGuide(
        model,
        data.cardinalities,
        encodings=_choice(config["encodings"]),
        flow=_choice(config["flow"]),
        flows={name: _choice(flow) for name, flow in config["flows"].items()},
        dependence=config["dependence"],
    ).to(data.like.dtype)
    try:
        guide.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit its description: {error}") from error
    return Saved(guide, data, encodings, card["history"])


def _choice(plain: Mapping[str, Any]) -> Any:
    def read(value: Any) -> Any:
        if isinstance(value, list):
            return tuple(value)
        return _choice(value) if isinstance(value, dict) else value

    arguments = {key: read(value) for key, value in plain.items() if key != "kind"}
    return CHOICES[str(plain["kind"])](**arguments)


def _without_values(
    card: Mapping[str, Any], links: Mapping[str, torch.Tensor], model: HierarchicalModel
) -> PlateData:
    found: dict[str, dict[str, torch.Tensor]] = {}
    for key, rows in links.items():
        plate, parent = key.split("/")
        found.setdefault(plate, {})[parent] = rows
    return PlateData(
        model=model,
        cardinalities=card["cardinalities"],
        links=found,
        values={},
        present={},
        labels=card["labels"],
        like=torch.zeros((), dtype=getattr(torch, card["dtype"])),
    )
