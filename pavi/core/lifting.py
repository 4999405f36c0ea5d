"""A model of many data sets at once: every site repeated over one more plate."""

from __future__ import annotations

from dataclasses import replace

from pavi.core.model import HierarchicalModel
from pavi.core.plates import Plate


def lifted(model: HierarchicalModel, plate: str) -> HierarchicalModel:
    """The model with every site, latent, observed or covariate, on one more plate, the outermost.

    Its rows are data sets of the same design; the conditionals are the same functions.

    Args:
        model: The template.
        plate: The name of the new plate.

    Raises:
        ValueError: If the model has a plate of this name.
    """
    if plate in model.plates:
        raise ValueError(
            f"the model has a plate {plate!r} already; plates are {list(model.plates)}. Choose "
            "another name for the plate of data sets."
        )
    plates = [Plate(plate), *model.plates.values()]
    sites = {n: replace(site, plates=(plate, *site.plates)) for n, site in model.sites.items()}
    return HierarchicalModel(plates, sites)
