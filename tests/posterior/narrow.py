"""Posteriors of next to no width, so that draws tell rows apart and not the noise."""

from __future__ import annotations

from math import prod

import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing

import pavi

# Rows of children are out of the order of their parents.
NEST = {"school": [2, 0, 1, 2, 1], "pupil": [2, 4, 0, 1, 2, 1, 3, 4, 3, 2, 0]}
CROSSING = {"rating": {"student": [2, 0, 1, 2, 0, 1, 2], "lecturer": [0, 0, 1, 1, 1, 3, 2]}}
DESIGNS = {
    "ragged nest": (ragged_nest, NEST, (11,)),
    "sparse crossing": (sparse_crossing, CROSSING, (7,)),
    "dense crossing": (dense_crossing, {}, (2, 2, 5, 2)),
}
LABELS = {
    "ragged nest": {"lea": ["A", "B", "C"], "school": [1, 1, 1, 2, 2], "pupil": list("abcdefghijk")},
    "sparse crossing": {"student": [7, 8, 9], "lecturer": ["k", "l", "m", "n"], "rating": range(7)},
    "dense crossing": {"subject": ["s", "t"], "session": [1, 2], "vertex": range(5)},
}  # fmt: skip
TOLERANCE = 1e-3


def narrow_posterior(name, *, dependence="faithful"):
    """A posterior of a design, whose draws vary by about 1e-6 scales of the prior.

    With the default, they still follow the noise of sites without plates.
    """
    design, links, shape = DESIGNS[name]
    model = design()
    arrays = {site: torch.randn(11) for site in model.covariates} | {"y": torch.randn(shape)}
    labels = {plate: list(names) for plate, names in LABELS[name].items()}
    data = pavi.PlateData.from_arrays(
        arrays, model, links=links, labels=labels, dtype=torch.float64
    )
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities, dependence=dependence).double()
    with torch.no_grad():
        for table in guide.tables():
            table.normal_()
        for site, flow in guide.flows.items():
            dim = prod(model.sites[site].event_shape)
            flow.head.bias[dim : 2 * dim] = 50.0  # the log of the gain in precision
    return pavi.Posterior(guide, data)
