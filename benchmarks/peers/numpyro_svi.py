"""NumPyro's time to a gap, with independent Gaussians on full batches.

python -m benchmarks.peers.numpyro_svi gre.npz --guide auto_normal

Runs in its own environment, from the root of the repository, and imports neither pavi nor torch.
`auto_normal` is the library's AutoNormal, started at the prior's means; `mean_field` is a guide of
Gaussian random effects written by hand, which starts at the prior and steps on the logarithm of
scales. Gaps are exact (`bounds.py`). Seconds of training are those after compilation, without the
measurement of gaps; `before` is what came earlier, from the start of the interpreter on.
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
from numpyro.infer import SVI, Trace_ELBO, init_to_mean  # noqa: E402
from numpyro.infer.autoguide import AutoNormal  # noqa: E402

from benchmarks.peers.bounds import GRE_SCALES, Bound, Gaussians, read_bound  # noqa: E402
from benchmarks.peers.course import Clock, course, stride  # noqa: E402
from benchmarks.peers.numpyro_models import Array, PeerProblem, read_problem  # noqa: E402
from benchmarks.peers.search import (  # noqa: E402
    Setting,
    add_arguments,
    carry_out,
)


def mean_field(x: Array) -> None:
    """A Gaussian per latent of Gaussian random effects, which starts at the prior."""
    groups, _, dim = x.shape
    starts = (jnp.zeros(dim), jnp.full(dim, math.log(GRE_SCALES[0])))
    starts_g = (jnp.zeros((groups, dim)), jnp.full((groups, dim), math.log(GRE_SCALES[1])))
    loc, scale = numpyro.param("mu_loc", starts[0]), numpyro.param("mu_log", starts[1])
    loc_g, scale_g = numpyro.param("mu_g_loc", starts_g[0]), numpyro.param("mu_g_log", starts_g[1])
    numpyro.sample("mu", dist.Normal(loc, jnp.exp(scale)).to_event(1))
    with numpyro.plate("group", groups):
        numpyro.sample("mu_g", dist.Normal(loc_g, jnp.exp(scale_g)).to_event(1))


def read_auto_normal(params: Mapping[str, Array], bound: Bound) -> Gaussians:
    """Means and standard deviations of AutoNormal."""
    return {
        name: (np.asarray(params[f"{name}_auto_loc"]), np.asarray(params[f"{name}_auto_scale"]))
        for name in bound.latents
    }


def read_mean_field(params: Mapping[str, Array], bound: Bound) -> Gaussians:
    """Means and standard deviations of `mean_field`."""
    return {
        name: (np.asarray(params[f"{name}_loc"]), np.exp(np.asarray(params[f"{name}_log"], float)))
        for name in bound.latents
    }


def fit(
    problem: PeerProblem,
    bound: Bound,
    evidence: float,
    setting: Setting,
    *,
    guide: str,
    cap: float,
    clock: Clock,
) -> dict[str, Any]:
    """One fit; see `course`.

    Args:
        problem: The model with its data.
        bound: The ELBO of Gaussians on these.
        evidence: Their log evidence.
        setting: What is tuned.
        guide: `auto_normal` or `mean_field`.
        cap: Seconds of training.
        clock: Of training.

    Raises:
        ValueError: If `mean_field` is asked for on another problem than `gre`.
    """
    by_hand = guide == "mean_field"
    if by_hand and problem.name != "gre":
        raise ValueError(f"mean_field is written for the problem gre only, got {problem.name}.")

    def rate(step: Array) -> Array:
        return setting.rate * 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(step / setting.steps, 1.0)))

    svi = SVI(
        problem.model,
        mean_field if by_hand else AutoNormal(problem.model, init_loc_fn=init_to_mean),
        numpyro.optim.Adam(rate),
        Trace_ELBO(num_particles=setting.draws),
    )
    every = stride(bound.size)

    def several(state: Any, arrays: tuple[Array, ...]) -> Any:
        body = lambda state, _: svi.update(state, *arrays)  # noqa: E731
        return jax.lax.scan(body, state, None, length=every)[0]

    state = svi.init(jax.random.PRNGKey(0), *problem.arrays)
    compiled = jax.jit(several).lower(state, problem.arrays).compile()
    read = read_mean_field if by_hand else read_auto_normal

    def advance() -> None:
        nonlocal state
        state = jax.block_until_ready(compiled(state, problem.arrays))

    def gap() -> float:
        return (evidence - bound(read(svi.get_params(state), bound))) / bound.size

    return course(
        advance, gap, steps=setting.steps, every=every, cap=cap, began=BEGAN, clock=clock
    )


def main() -> None:
    """Fit, or search, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="what benchmarks.peers.export wrote")
    parser.add_argument("--guide", choices=("auto_normal", "mean_field"), default="auto_normal")
    add_arguments(parser)
    arguments = parser.parse_args()
    problem = read_problem(arguments.data)
    bound, evidence = read_bound(arguments.data)

    def trial(setting: Setting, clock: Clock, cap: float) -> dict[str, Any]:
        return fit(
            problem,
            bound,
            evidence,
            setting,
            guide=arguments.guide,
            cap=cap,
            clock=clock,
        )

    print(json.dumps(carry_out(arguments, trial)))


if __name__ == "__main__":
    main()
