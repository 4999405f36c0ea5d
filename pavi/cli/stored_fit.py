"""A fit that a command is given: its folder, and its posterior with what it needs."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from pavi.cli.fit_folder import FitFolder
from pavi.posterior import Posterior

SLOW_LATENTS = 10_000


def opened(given: Namespace) -> FitFolder:
    """The folder of a fit; a changed model file is told."""
    folder = FitFolder.open(Path(given.fit))
    if folder.note:
        print(f"note: {folder.note}", file=sys.stderr)
    return folder


def loaded(folder: FitFolder, *, data_file: Path | None) -> Posterior:
    """The posterior, with its data where a latent site depends on a covariate, or on request."""
    sites = folder.model.sites
    needed = any(
        parent in folder.model.covariates
        for latent in folder.model.latents
        for parent in sites[latent].parents
    )
    read = needed or data_file is not None
    return folder.posterior(data=folder.data(data_file) if read else None)


def is_slow(posterior: Posterior) -> bool:
    """Whether to show a bar for a summary: not for those that take no time."""
    return posterior.model.num_latents(posterior.data.cardinalities) > SLOW_LATENTS
