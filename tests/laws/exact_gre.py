"""Gaussian random effects with the guide at the exact posterior."""

from __future__ import annotations

import math

import torch

import pavi
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.7, 0.5, 0.3)


def bounded(x):
    """What the soft bound of the flow takes to `x`."""
    return 30 * math.atanh(x / 30)


def random_effects(*, groups):
    """The model, data of three observations a group, a fresh guide and the exact posterior."""
    model = gaussian_random_effects(dim=2, scales=SCALES)
    sim = model.simulate({"group": groups, "obs": 3}, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    return model, data, guide, gre_posterior(sim.arrays["x"], scales=SCALES)


def settle(guide, exact):
    """Put the guide there."""
    s_mu, s_g, _ = SCALES
    with torch.no_grad():
        for name, scale in (("mu", s_mu), ("mu_g", s_g)):
            flow = guide.flows[name]
            flow.location.zero_()
            flow.scale.fill_(scale)
            getattr(guide, f"_scale_{name}").fill_(scale)
        mu, mu_g = guide.encoder._tables["mu"], guide.encoder._tables["mu_g"]
        mu[0, :2] = exact.mean / s_mu
        mu[0, 2:4] = bounded(2 * math.log(s_mu / exact.sd))
        mu_g[:, :2] = exact.group_data / s_g
        mu_g[:, 2:4] = bounded(2 * math.log(s_g / exact.group_sd))
