"""What a guide looks at to find where it starts."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from pavi.core import PlateBatch
from pavi.data.plate_data import PlateData
from pavi.data.stored_values import stored_values

# Numbers of a store that are looked at: about ten thousand fingerprints of 64 numbers.
NUMBERS = 2**20


def starting_batch(data: PlateData, *, numbers: int = NUMBERS, seed: int = 0) -> PlateBatch:
    """All rows of all plates, for `Guide.initialise`; of values in stores only a sample.

    A start that is found from data, as `KMeans`, takes them for points and needs no more. The rows
    of a site's plates are drawn crosswise, as many of one plate as of another where it has them.

    Args:
        data: The data.
        numbers: How many numbers of a store are read.
        seed: Of the sample.
    """
    batch = data.batch(sites=tuple(data.values))
    rng = np.random.default_rng(seed)
    sample = {}
    for name, store in data.stores.items():
        plates, rows = data.model.sites[name].plates, {}
        left = max(1, numbers // prod(store.shape[len(plates) :]))
        by_size = sorted(plates, key=lambda plate: data.cardinalities[plate])
        for number, plate in enumerate(by_size):
            total = data.cardinalities[plate]
            count = min(total, max(1, int(left ** (1 / (len(by_size) - number)))))
            rows[plate] = np.sort(rng.choice(total, count, replace=False))
            left = max(1, left // count)
        sample[name] = stored_values(name, store, data.model, rows=rows, like=data.like)
    return replace(batch, values={**batch.values, **sample})
