"""Draws of all latents on disk, for posteriors larger than memory."""

from __future__ import annotations

from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from pavi.data import PlateData
from pavi.files import whole_folder
from pavi.posterior.checks import check_draws, latent_sites
from pavi.posterior.coordinates import (
    SAMPLE_DIMS,
    check_names,
    coordinates,
    dimensions,
    event_coordinates,
    parent_coordinates,
)
from pavi.posterior.fitted import Fitted
from pavi.posterior.joint_draws import BUDGET, JointDraws

# Numbers in one file of the folder, so that some rows of all draws are read from few files.
FILE = 2**18


def to_zarr(
    posterior: Fitted,
    path: Path | str,
    *,
    draws: int = 1000,
    seed: int = 0,
    budget: int = BUDGET,
    overwrite: bool = False,
    progress: bool = False,
) -> None:
    """Write draws of all latents to a zarr folder part by part; all of it or nothing.

    `xarray.open_datatree(path, engine="zarr", consolidated=False)` reads it, as ArviZ's group
    `posterior`. Some draws of all rows are made and written at a time; where one draw exceeds the
    budget, some rows of it.

    Args:
        posterior: The posterior.
        path: The folder.
        draws: The number of draws.
        seed: Of the draws; with the same budget it gives the same ones.
        budget: How many numbers are held at a time.
        overwrite: Whether to replace a zarr folder that is there.
        progress: Whether to show a bar.

    Raises:
        ImportError: Without zarr and xarray, which the extra `zarr` brings.
        ValueError: If `path` exists, and is no zarr folder or not to be replaced.
    """
    try:
        import xarray
        import zarr
    except ImportError:
        raise ImportError(
            "to_zarr() needs zarr and xarray, which are optional: pip install 'pavi-torch[zarr]'"
        ) from None

    guide, data, path = posterior.guide, posterior.data, Path(path)
    sites = latent_sites(guide, data, ())
    check_draws(draws)
    check_names(guide.model)
    if path.exists() and not (path / "zarr.json").is_file():
        raise ValueError(f"{path} exists and is not a zarr folder; choose another one.")
    if path.exists() and not overwrite:
        raise ValueError(f"{path} exists; choose another folder, or replace it by overwrite=True.")
    block = min(draws, max(1, budget // max(data.numbers().values(), default=1)))
    coords: dict[str, Any] = coordinates(data, draws=draws)
    coords |= event_coordinates(guide.model, sites) | parent_coordinates(data)
    attributes = {"inference_library": "pavi", "inference_library_version": version("pavi-torch")}
    with whole_folder(path) as fresh:
        xarray.Dataset(coords=coords, attrs=attributes).to_zarr(
            fresh, group="posterior", mode="w", consolidated=False, zarr_format=3
        )
        group = zarr.open_group(fresh, path="posterior", mode="r+")
        arrays = {site: _array(group, data, site, draws=draws, block=block) for site in sites}
        starts = range(0, draws, block)
        for number, start in enumerate(track(starts, "draws to disk", disable=not progress)):
            count = min(block, draws - start)
            noise = int(np.random.default_rng([seed, number]).integers(2**63 - 1))
            joint = JointDraws(guide, data, draws=count, seed=noise, budget=budget)
            for index, part in enumerate(joint.parts(sites)):
                for site, array in arrays.items():
                    if index and joint.chunks.shared(site):
                        continue
                    plates = guide.model.sites[site].plates
                    rows = tuple(part.rows.get(plate, slice(None)) for plate in plates)
                    value = part.draws.values[site].numpy()
                    array.oindex[(0, slice(start, start + count), *rows)] = value


def _array(group: Any, data: PlateData, site: str, *, draws: int, block: int) -> Any:
    """An empty array of a site's draws, in files of some draws of some rows."""
    spec = data.model.sites[site]
    plates = [data.cardinalities[plate] for plate in spec.plates]
    files = [1, block, *plates, *spec.event_shape]
    for axis in range(2, 2 + len(plates)):
        files[axis] = max(1, min(files[axis], FILE * files[axis] // prod(files)))
    return group.create_array(
        site,
        shape=(1, draws, *plates, *spec.event_shape),
        chunks=tuple(files),
        dtype=str(data.like.dtype).removeprefix("torch."),
        fill_value=float("nan"),
        dimension_names=(*SAMPLE_DIMS, *dimensions(data.model, site)),
    )
