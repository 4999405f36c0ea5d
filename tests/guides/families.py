"""Every guide, by name: functions of a model and its cardinalities."""

from __future__ import annotations

from functools import partial

import torch

from pavi.encodings import DeepSetEncodings
from pavi.flows import MAFFlow, NSFFlow
from pavi.guides import PlateAmortizedGuide, adavi, asvi, branch, mean_field, per_instance

SMALL = MAFFlow(transforms=1, hidden=(4,))


def plate_amortized(model, cardinalities, **options):
    """A flow that is not affine at the sites that are vectors."""
    vectors = [name for name in model.latents if model.sites[name].event_shape]
    return PlateAmortizedGuide(
        model, cardinalities, flows=dict.fromkeys(vectors, SMALL), **options
    )


# Encodings of rows are free, so any batch leaves the objective unbiased.
FREE = {
    "faithful": plate_amortized,
    "parents": partial(plate_amortized, dependence="parents"),
    "mean field": partial(mean_field, full=True),
    "per instance": partial(per_instance, flow=SMALL),
    "asvi": asvi,
}
# Encodings are computed from data, so guides can be trained over simulated data sets.
COMPUTED = {
    "deep set": partial(PlateAmortizedGuide, encodings=DeepSetEncodings()),
    "branch": branch,
    "adavi": partial(adavi, hidden=(4,)),
}
GUIDES = {
    **FREE,
    **COMPUTED,
    "spline": partial(PlateAmortizedGuide, flow=NSFFlow(hidden=(4,))),
}


def random_guide(family, model, cardinalities, **options):
    """A guide of a family with random parameters.

    Larger ones take the Gaussians of `branch`, site by site, to values around 1e9, where an
    inverse loses digits.
    """
    guide = family(model, cardinalities, **options).double()
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_(0.0, 0.2)
    return guide
