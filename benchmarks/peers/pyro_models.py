"""The problems of the race in Pyro, with the priors of `pavi`'s models.

Sites have their vector axes as event axes and one plate axis, so that draws may stand in front.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch

from benchmarks.peers.bounds import CHEM97_SCALES, GRE_SCALES, HV_SPREAD


def gre(x: torch.Tensor) -> None:
    """Gaussian random effects, `x` of shape (group, obs, dim)."""
    s_mu, s_g, s_x = GRE_SCALES
    groups, _, dim = x.shape
    mu = pyro.sample("mu", dist.Normal(torch.zeros(dim), s_mu).to_event(1))
    with pyro.plate("group", groups):
        mu_g = pyro.sample("mu_g", dist.Normal(mu, s_g).to_event(1))
        pyro.sample("x", dist.Normal(mu_g.unsqueeze(-2), s_x).to_event(2), obs=x)


def hv(x: torch.Tensor) -> None:
    """Hierarchical variances, `x` of shape (group, obs, dim)."""
    groups, _, dim = x.shape
    mu = pyro.sample("mu", dist.Normal(torch.zeros(dim), 1.0).to_event(1))
    log_tau = pyro.sample("log_tau", dist.Normal(0.0, 1.0))
    with pyro.plate("group", groups):
        spread = log_tau.exp().unsqueeze(-1)
        mu_g = pyro.sample("mu_g", dist.Normal(mu, spread).to_event(1))
        log_s = pyro.sample("log_s", dist.Normal(0.0, HV_SPREAD))
        noise = dist.Normal(mu_g.unsqueeze(-2), log_s.exp()[..., None, None])
        pyro.sample("x", noise.to_event(2), obs=x)


def chem97(
    gcse: torch.Tensor,
    score: torch.Tensor,
    school: torch.Tensor,
    lea: torch.Tensor,
    *,
    leas: int,
) -> None:
    """Pupils in schools in `leas` authorities; the arrays are those of `bounds.Chem97Bound`."""
    mu = pyro.sample("mu", dist.Normal(5.0, 5.0))
    beta = pyro.sample("beta", dist.Normal(0.0, 5.0))
    scales = {
        name: pyro.sample(name, dist.HalfNormal(scale)) for name, scale in CHEM97_SCALES.items()
    }
    with pyro.plate("lea", leas):
        lea_effect = pyro.sample("lea_effect", dist.Normal(0.0, scales["tau_lea"]))
    with pyro.plate("school", len(lea)):
        school_effect = pyro.sample("school_effect", dist.Normal(0.0, scales["tau_school"]))
    effect = (lea_effect[..., lea] + school_effect)[..., school]
    with pyro.plate("pupil", len(score)):
        pyro.sample("score", dist.Normal(mu + beta * gcse + effect, scales["sigma"]), obs=score)


def read_problem(path: str) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """The model whose data `benchmarks.peers.export` wrote, and its arguments."""
    with np.load(path) as stored:
        name = str(stored["problem"])
        if name == "chem97":
            arrays = tuple(stored[key] for key in ("gcse", "score", "school", "lea"))
            model = partial(chem97, leas=int(arrays[-1].max()) + 1)
            return model, tuple(map(torch.as_tensor, arrays))
        return {"gre": gre, "hv": hv}[name], (torch.as_tensor(stored["x"]),)
