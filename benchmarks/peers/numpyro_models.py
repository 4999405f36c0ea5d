"""The problems of the race in NumPyro, with the priors of `pavi`'s models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist

from benchmarks.peers.bounds import CHEM97_SCALES, GRE_SCALES, HV_SPREAD

Array = Any  # of jax, which the environment of pavi does not have


def gre(x: Array) -> None:
    """Gaussian random effects, `x` of shape (group, obs, dim)."""
    s_mu, s_g, s_x = GRE_SCALES
    groups, _, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(dim), s_mu).to_event(1))
    with numpyro.plate("group", groups):
        mu_g = numpyro.sample("mu_g", dist.Normal(mu, s_g).to_event(1))
        numpyro.sample("x", dist.Normal(mu_g[:, None], s_x).to_event(2), obs=x)


def hv(x: Array) -> None:
    """Hierarchical variances, `x` of shape (group, obs, dim)."""
    groups, _, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(dim), 1.0).to_event(1))
    log_tau = numpyro.sample("log_tau", dist.Normal(0.0, 1.0))
    with numpyro.plate("group", groups):
        mu_g = numpyro.sample("mu_g", dist.Normal(mu, jnp.exp(log_tau)).to_event(1))
        log_s = numpyro.sample("log_s", dist.Normal(0.0, HV_SPREAD))
        noise = dist.Normal(mu_g[:, None], jnp.exp(log_s)[:, None, None])
        numpyro.sample("x", noise.to_event(2), obs=x)


def chem97(gcse: Array, score: Array, school: Array, lea: Array, *, leas: int) -> None:
    """Pupils in schools in `leas` authorities; the arrays are those of `bounds.Chem97Bound`."""
    mu = numpyro.sample("mu", dist.Normal(5.0, 5.0))
    beta = numpyro.sample("beta", dist.Normal(0.0, 5.0))
    scales = {
        name: numpyro.sample(name, dist.HalfNormal(scale)) for name, scale in CHEM97_SCALES.items()
    }
    with numpyro.plate("lea", leas):
        lea_effect = numpyro.sample("lea_effect", dist.Normal(0.0, scales["tau_lea"]))
    with numpyro.plate("school", len(lea)):
        school_effect = numpyro.sample("school_effect", dist.Normal(0.0, scales["tau_school"]))
    effect = (lea_effect[lea] + school_effect)[school]
    with numpyro.plate("pupil", len(score)):
        numpyro.sample("score", dist.Normal(mu + beta * gcse + effect, scales["sigma"]), obs=score)


@final
@dataclass(frozen=True)
class PeerProblem:
    """A model with its data.

    Args:
        name: Of the problem.
        model: A function of the arrays.
        arrays: Its arguments.
    """

    name: str
    model: Callable[..., None]
    arrays: tuple[Array, ...]


def read_problem(path: str) -> PeerProblem:
    """The problem whose data `benchmarks.peers.export` wrote, in the precision of the file."""
    with np.load(path) as stored:
        name = str(stored["problem"])
        if name == "chem97":
            arrays = tuple(stored[key] for key in ("gcse", "score", "school", "lea"))
            model = partial(chem97, leas=int(arrays[-1].max()) + 1)
            return PeerProblem(name, model, tuple(map(jnp.asarray, arrays)))
        return PeerProblem(name, {"gre": gre, "hv": hv}[name], (jnp.asarray(stored["x"]),))
