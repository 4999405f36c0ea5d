"""The part of a report that says how it came about."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch

from pavi.posterior.report.page import Cells, Section, Verbatim

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

PACKAGES = ("pavi-torch", "torch", "pytorch-lightning", "zuko", "numpy")


def provenance_section(posterior: Posterior, *, given: Mapping[str, str]) -> Section:
    """What it takes to repeat the fit and the report.

    Args:
        posterior: Whose guide is described.
        given: Further lines, which stand first.
    """
    kind = str(posterior.data.like.dtype).removeprefix("torch.")
    model, sizes = posterior.model, posterior.data.cardinalities
    rows = [
        *given.items(),
        ("latent dimensions", f"{model.num_latents(sizes):,}"),
        ("parameters of the guide", f"{sum(p.numel() for p in posterior.trained.parameters()):,}"),
        ("floating-point type", kind),
        ("report written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("python", platform.python_version()),
        *((name, version(name)) for name in PACKAGES),
        ("platform", platform.platform()),
        ("threads", str(torch.get_num_threads())),
    ]
    config = json.dumps(posterior.trained.config(), indent=2)
    table = Cells(("", ""), rows, texts=2, prose=True)
    return Section("Provenance", [table, "The guide, as it is saved:", Verbatim(config)])
