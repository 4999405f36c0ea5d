r"""NumPyro's time to a gap on Gaussian random effects, with a mean-field guide on full batches.

python mean_field.py gre.npz

Runs in its own environment and imports neither pavi nor torch. The guide is written by hand: a
Gaussian per latent, with its location and the logarithm of its scale. The gap is the divergence
of that Gaussian from the exact posterior and is computed in closed form: with
:math:`p(\mu \mid x) = N(m, v)` and :math:`p(\mu_g \mid \mu, x) = N(a_g + b \mu, c)` per dimension,

.. math:: E_q \log p(\mu \mid x) &= -\tfrac12 \log 2\pi v - \frac{(m_q - m)^2 + s_q^2}{2v} \\
    E_q \log p(\mu_g \mid \mu, x) &= -\tfrac12 \log 2\pi c
        - \frac{(m_{gq} - a_g - b\,m_q)^2 + s_{gq}^2 + b^2 s_q^2}{2c}.

Seconds of training are those after compilation, without the measurement of gaps; `process` adds
what came before training, from the start of the interpreter on.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Mapping
from typing import Any

BEGAN = time.perf_counter()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import numpyro  # noqa: E402
import numpyro.distributions as dist  # noqa: E402
from numpyro.infer import SVI, Trace_ELBO  # noqa: E402

Array = Any  # of jax, which the environment of pavi does not have
LEVELS = (0.05, 0.005)
SCALES = (0.5, 0.5, 0.1)


def model(x: Array) -> None:
    """Gaussian random effects, `x` of shape (group, obs, dim)."""
    s_mu, s_g, s_x = SCALES
    groups, _, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(dim), s_mu).to_event(1))
    with numpyro.plate("group", groups):
        mu_g = numpyro.sample("mu_g", dist.Normal(mu, s_g).to_event(1))
        numpyro.sample("x", dist.Normal(mu_g[:, None], s_x).to_event(2), obs=x)


def guide(x: Array) -> None:
    """A Gaussian per latent, which starts at the prior."""
    groups, _, dim = x.shape
    loc, scale = jnp.zeros(dim), jnp.full(dim, math.log(SCALES[0]))
    loc_g, scale_g = jnp.zeros((groups, dim)), jnp.full((groups, dim), math.log(SCALES[1]))
    loc, scale = numpyro.param("loc", loc), numpyro.param("scale", scale)
    loc_g, scale_g = numpyro.param("loc_g", loc_g), numpyro.param("scale_g", scale_g)
    numpyro.sample("mu", dist.Normal(loc, jnp.exp(scale)).to_event(1))
    with numpyro.plate("group", groups):
        numpyro.sample("mu_g", dist.Normal(loc_g, jnp.exp(scale_g)).to_event(1))


def gap_per_latent(params: Mapping[str, Array], means: Array, size: int) -> float:
    """The gap of the module's docstring over the number of latents, in double precision."""
    s_mu, s_g, s_x = SCALES
    groups, dim = means.shape
    v = s_g**2 + s_x**2 / size
    precision = s_mu**-2 + groups / v
    mean, variance = means.sum(0) / v / precision, 1 / precision
    c = 1 / (s_g**-2 + size / s_x**2)
    a, b = c * size / s_x**2 * means, c / s_g**2
    names = ("loc", "scale", "loc_g", "scale_g")
    m, log_s, m_g, log_s_g = (np.asarray(params[name], float) for name in names)
    constant = 0.5 * math.log(2 * math.pi)
    entropy = (log_s + 0.5 + constant).sum() + (log_s_g + 0.5 + constant).sum()
    square = (m - mean) ** 2 + np.exp(2 * log_s)
    top = -constant - 0.5 * np.log(variance) - square / (2 * variance)
    spread = np.exp(2 * log_s_g) + b**2 * np.exp(2 * log_s)
    low = -0.5 * np.log(2 * math.pi * c) - ((m_g - a - b * m) ** 2 + spread) / (2 * c)
    return float(-(entropy + top.sum() + low.sum())) / (dim * (1 + groups))


def main() -> None:
    """Train until the lower level is reached or time is up, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="what benchmarks.peers.export wrote")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--every", type=int, default=10, help="steps between two gaps")
    parser.add_argument("--rate", type=float, default=0.3)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--cap", type=float, default=120.0, help="seconds of training")
    arguments = parser.parse_args()
    x = jnp.asarray(np.load(arguments.data)["x"])
    means, size = np.asarray(x, float).mean(1), x.shape[1]

    def rate(step: Array) -> Array:
        return arguments.rate * 0.5 * (1 + jnp.cos(jnp.pi * step / arguments.steps))

    optimizer = numpyro.optim.Adam(rate)
    svi = SVI(model, guide, optimizer, Trace_ELBO(num_particles=arguments.draws))
    state = svi.init(jax.random.PRNGKey(0), x)

    def advance(state: Any, x: Array) -> Any:
        body = lambda state, _: svi.update(state, x)  # noqa: E731
        return jax.lax.scan(body, state, None, length=arguments.every)[0]

    compiled = jax.jit(advance).lower(state, x).compile()
    found: dict[str, dict[str, float]] = {"training": {}, "process": {}}
    before = time.perf_counter() - BEGAN
    seconds, gap = 0.0, math.inf
    for _ in range(arguments.steps // arguments.every):
        began = time.perf_counter()
        state = jax.block_until_ready(compiled(state, x))
        seconds += time.perf_counter() - began
        gap = gap_per_latent(svi.get_params(state), means, size)
        for level in LEVELS:
            if gap <= level and f"{level:g}" not in found["training"]:
                found["training"][f"{level:g}"] = seconds
                found["process"][f"{level:g}"] = before + seconds
        if gap <= LEVELS[-1] or seconds > arguments.cap:
            break
    print(json.dumps({"groups": len(means), **found, "seconds": seconds, "gap_per_latent": gap}))


if __name__ == "__main__":
    main()
