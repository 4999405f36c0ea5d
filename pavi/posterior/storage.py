"""A posterior on disk: a folder of JSON and safetensors, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.data.labels import from_json, to_json
from pavi.encodings import (
    DeepSetEncodings,
    FreeEncodings,
    HybridEncodings,
    OwnDataEncodings,
    SetTransformerEncodings,
)
from pavi.files import sha256_of, whole_folder
from pavi.flows import (
    AffineFlow,
    ASVIFlow,
    BranchFlow,
    CouplingFlow,
    EncodedFlow,
    GaussianFlow,
    InstanceFlow,
    MAFFlow,
    NSFFlow,
)
from pavi.guides import (
    HMC,
    CascadingFlowsGuide,
    Guide,
    PlateAmortizedGuide,
    TotalFlowGuide,
    UIVIGuide,
)
from pavi.posterior.signature import described_priors, difference, other_prior, signature

FORMAT = 5
KEYS = (
    "format",
    "model",
    "priors",
    "guide",
    "cardinalities",
    "labels",
    "dtype",
    "history",
    "checksums",
)
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
        OwnDataEncodings,
        SetTransformerEncodings,
        ASVIFlow,
        AffineFlow,
        BranchFlow,
        CouplingFlow,
        EncodedFlow,
        GaussianFlow,
        InstanceFlow,
        MAFFlow,
        NSFFlow,
        HMC,
    )
}
# The guides that can be saved.
GUIDES: dict[str, Callable[..., Guide]] = {
    guide.__name__: guide
    for guide in (PlateAmortizedGuide, CascadingFlowsGuide, TotalFlowGuide, UIVIGuide)
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

    guide: Guide
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
        "priors": described_priors(guide.model),
        "guide": guide.config(),
        "cardinalities": dict(data.cardinalities),
        "labels": {plate: [to_json(n) for n in names] for plate, names in data.labels.items()},
        "dtype": str(data.like.dtype).removeprefix("torch."),
        "history": dict(history),
    }
    files = {WEIGHTS: guide.state_dict(), LINKS: _links(data)}
    if encodings is not None:
        files[ENCODINGS] = dict(encodings)
    needed = sum(value.nbytes for tensors in files.values() for value in tensors.values())
    with whole_folder(path, needed=needed) as fresh:
        for name, tensors in files.items():
            save_file(_apart(tensors), fresh / name)
        card["checksums"] = {name: sha256_of(fresh / name) for name in files}
        (fresh / CARD).write_text(json.dumps(card, indent=1))


def _links(data: PlateData) -> dict[str, torch.Tensor]:
    return {
        f"{plate}/{parent}": rows
        for plate, parents in data.links.items()
        for parent, rows in parents.items()
    }


def _apart(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Copies that share no memory, which safetensors cannot write."""
    return {
        key: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for key, value in tensors.items()
    }


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
    if isinstance(card, dict) and card.get("format", FORMAT) != FORMAT:
        raise ValueError(f"{path} has format {card['format']}; this version reads {FORMAT}.")
    absent = [key for key in KEYS if key not in card] if isinstance(card, dict) else list(KEYS)
    if absent:
        raise ValueError(f"{path} cannot be read; its {CARD} is damaged: it lacks {absent}.")
    try:
        for name, checksum in card["checksums"].items():
            if sha256_of(path / name) != checksum:
                raise ValueError(f"{name} is not what was written")
        found = difference(card["model"], signature(model)) or other_prior(card["priors"], model)
        saved = None if found else _without_values(card, links, model)
        build = GUIDES[card["guide"]["kind"]]
        options = {key: _read(value) for key, value in card["guide"].items() if key != "kind"}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read; its {CARD} is damaged: {error!r}.") from error
    if found or saved is None:
        raise ValueError(f"{path} belongs to another model: {found}.")
    if data is None:
        data = saved
    elif dict(data.cardinalities) != card["cardinalities"]:
        raise ValueError(
            f"{path} was fitted to other data: its plates have {card['cardinalities']} rows, "
            f"those of the given data {dict(data.cardinalities)}."
        )
    guide = build(model, data.cardinalities, **options).to(data.like.dtype)
    if json.loads(json.dumps(guide.config())) != card["guide"]:
        raise ValueError(
            f"{path} cannot be read; its {CARD} is damaged: it describes a guide by "
            f"{card['guide']}, which lacks some of {guide.config()}."
        )
    try:
        guide.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"{path}: its weights do not fit its description: {error}") from error
    return Saved(guide, data, encodings, card["history"])


def _read(value: Any) -> Any:
    """What `pavi.guides.plain` made plain."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, dict):
        return value
    entries = {key: _read(entry) for key, entry in value.items() if key != "kind"}
    return CHOICES[str(value["kind"])](**entries) if "kind" in value else entries


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
        labels={plate: [from_json(n) for n in names] for plate, names in card["labels"].items()},
        like=torch.zeros((), dtype=getattr(torch, card["dtype"])),
    )
