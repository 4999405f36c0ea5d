"""NumPyro's time to an effective sample size of 400 of every global, with NUTS.

python -m benchmarks.peers.numpyro_nuts hv.npz

Runs in its own environment, from the root of the repository, and imports neither pavi nor torch.
One chain in double precision, started at the prior's medians; group effects are non-centred where
their spread is unknown. `seconds` are those of warm-up and draws after compilation, without the
measurement of sample sizes; `before` is what came earlier, from the start of the interpreter on.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

BEGAN = time.perf_counter()

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import numpyro  # noqa: E402
from numpyro.diagnostics import effective_sample_size  # noqa: E402
from numpyro.handlers import reparam  # noqa: E402
from numpyro.infer import NUTS, init_to_median  # noqa: E402
from numpyro.infer.reparam import LocScaleReparam  # noqa: E402

from benchmarks.peers.bounds import CHEM97_SCALES  # noqa: E402
from benchmarks.peers.numpyro_models import read_problem  # noqa: E402

GLOBALS = {
    "gre": ("mu",),
    "hv": ("mu", "log_tau"),
    "chem97": ("mu", "beta", "tau_lea", "tau_school", "sigma"),
}
NON_CENTRED = {"gre": (), "hv": ("mu_g",), "chem97": ("lea_effect", "school_effect")}


def main() -> None:
    """Draw until the sample size is reached or time is up, and print one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", help="what benchmarks.peers.export wrote")
    parser.add_argument("--size", type=float, default=400.0, help="the effective sample size")
    parser.add_argument("--warm-up", type=int, default=500)
    parser.add_argument("--every", type=int, default=50, help="draws between two measurements")
    parser.add_argument("--cap", type=float, default=180.0, help="seconds of sampling")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    numpyro.enable_x64()
    problem = read_problem(arguments.data)
    arrays = tuple(a.astype(float) if a.dtype.kind == "f" else a for a in problem.arrays)
    config = {site: LocScaleReparam(0.0) for site in NON_CENTRED[problem.name]}
    kernel = NUTS(reparam(problem.model, config=config), init_strategy=init_to_median)
    state = kernel.init(
        jax.random.key(arguments.seed), arguments.warm_up, None, model_args=arrays, model_kwargs={}
    )

    def several(state: Any, arrays: Any) -> Any:
        def body(state: Any, _: None) -> Any:
            state = kernel.sample(state, arrays, {})
            drawn = {name: state.z[name] for name in GLOBALS[problem.name]}
            # A chain moves the logarithms of scales.
            drawn |= {name: jnp.exp(drawn[name]) for name in drawn if name in CHEM97_SCALES}
            return state, (drawn, state.diverging, state.num_steps)

        return jax.lax.scan(body, state, None, length=arguments.every)

    compiled = jax.jit(several).lower(state, arrays).compile()
    before = time.perf_counter() - BEGAN
    chunks: list[Any] = []
    seconds, made, least = 0.0, 0, 0.0
    while least < arguments.size and seconds < arguments.cap:
        began = time.perf_counter()
        state, drawn = jax.block_until_ready(compiled(state, arrays))
        seconds += time.perf_counter() - began
        made += arguments.every
        if made > arguments.warm_up:
            chunks.append(jax.tree.map(np.asarray, drawn))
        if chunks:
            least = smallest_size([chunk[0] for chunk in chunks])
    figures = {
        "before": before,
        "seconds": seconds,
        "draws": len(chunks) * arguments.every,
        "effective_sample_size": least,
        "divergences": int(sum(chunk[1].sum() for chunk in chunks)),
        "steps_per_draw": float(np.mean([c[2].mean() for c in chunks])) if chunks else None,
        "reached": least >= arguments.size,
    }
    print(json.dumps(figures))


def smallest_size(chunks: list[dict[str, Any]]) -> float:
    """The smallest effective sample size of the globals of one chain, in chunks of draws."""
    return min(
        float(np.min(effective_sample_size(np.concatenate([c[name] for c in chunks])[None])))
        for name in chunks[0]
    )


if __name__ == "__main__":
    main()
