"""NUTS posteriors of the simulated problems, with NumPyro, as stored in experiments/problems/nuts.

python -m benchmarks.peers.export hv hv.npz                     # in pavi's environment
python benchmarks/peers/nuts.py hv hv.npz experiments/problems/nuts   # in that of requirements.txt

Chains start at the true values: where components are interchangeable, they explore the modes
around the truth. Of these models only what a relabelling does not change is stored; draws are
relabelled before they are summarised. `gm` has its components in the order of their first
coordinate, in the population and in each group; `ms_hbm` has its networks in the order of their
mean first coordinate over subjects and sessions.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import MCMC, NUTS, init_to_value

Arrays = Mapping[str, Any]


def nc(x: Any) -> None:
    """Laplace observations around a positive centre."""
    a = numpyro.sample("a", dist.Gamma(jnp.ones(x.shape[-1]), 0.5).to_event(1))
    numpyro.sample("x", dist.Laplace(a, 0.3), obs=x)


def hv(x: Any) -> None:
    """Group means of unknown spread, non-centred, and a noise level per group."""
    groups, _, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(jnp.zeros(dim), 1.0).to_event(1))
    log_tau = numpyro.sample("log_tau", dist.Normal(0.0, 1.0))
    z_g = numpyro.sample("z_g", dist.Normal(0.0, 1.0).expand([groups, dim]))
    mu_g = numpyro.deterministic("mu_g", mu + jnp.exp(log_tau) * z_g)
    log_s = numpyro.sample("log_s", dist.Normal(0.0, 0.5).expand([groups]))
    numpyro.sample("x", dist.Normal(mu_g[:, None], jnp.exp(log_s)[:, None, None]), obs=x)


def gm(x: Any) -> None:
    """Groups that mix their variants of three components."""
    groups, _, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([3, dim]))
    mu_g = numpyro.sample("mu_g", dist.Normal(mu, 0.2).expand([groups, 3, dim]))
    pi = numpyro.sample("pi", dist.Dirichlet(jnp.ones([groups, 3])))
    components = dist.Normal(mu_g[:, None], 0.05).to_event(1)
    numpyro.sample(
        "x", dist.MixtureSameFamily(dist.Categorical(probs=pi[:, None]), components), obs=x
    )


def ms_hbm(x: Any) -> None:
    """Two networks in subjects and sessions; a logit difference is sqrt(2) times a free number."""
    subjects, sessions, vertices, dim = x.shape
    mu = numpyro.sample("mu", dist.Normal(0.0, 1.0).expand([2, dim]))
    log_eps = numpyro.sample("log_eps", dist.Normal(-1.0, 1.0).expand([2]))
    log_sigma = numpyro.sample("log_sigma", dist.Normal(-1.0, 1.0).expand([2]))
    log_kappa = numpyro.sample("log_kappa", dist.Normal(-1.0, 1.0))
    z_s = numpyro.sample("z_s", dist.Normal(0.0, 1.0).expand([subjects, 2, dim]))
    mu_s = numpyro.deterministic("mu_s", mu + jnp.exp(log_eps)[:, None] * z_s)
    z_st = numpyro.sample("z_st", dist.Normal(0.0, 1.0).expand([subjects, sessions, 2, dim]))
    mu_st = mu_s[:, None] + jnp.exp(log_sigma)[:, None] * z_st
    mu_st = numpyro.deterministic("mu_st", mu_st)
    eta = numpyro.sample("eta", dist.Normal(0.0, 1.0).expand([vertices]))
    z_pi = numpyro.sample("z_pi", dist.Normal(0.0, 1.0).expand([subjects, vertices]))
    pi = numpyro.deterministic("pi", eta + z_pi)
    logits = (pi / jnp.sqrt(2.0))[:, None, :, None] * jnp.array([1.0, -1.0])
    components = dist.Normal(mu_st[:, :, None], jnp.exp(log_kappa)).to_event(1)
    numpyro.sample("x", dist.MixtureSameFamily(dist.Categorical(logits=logits), components), obs=x)


def by_first_coordinate(centroids: Any, *others: Any) -> tuple[Any, ...]:
    """Put components `(..., component, dim)` in order, and others `(..., component)` along."""
    order = np.argsort(centroids[..., 0], axis=-1)
    first = np.take_along_axis(centroids, order[..., None], axis=-2)
    return (first, *(np.take_along_axis(other, order, axis=-1) for other in others))


def gm_invariants(draws: Arrays) -> dict[str, Any]:
    """Sorted centroids, group by group, with their proportions."""
    (mu,) = by_first_coordinate(draws["mu"])
    mu_g, pi = by_first_coordinate(draws["mu_g"], draws["pi"])
    return {"mu": mu, "mu_g": mu_g, "pi": pi}


def ms_hbm_invariants(draws: Arrays) -> dict[str, Any]:
    """All with the networks in the order of their centroids' mean first coordinate.

    The mean is over subjects and sessions: many vertices tell it apart, as they do not tell `mu`.
    """
    mean = draws["mu_st"][..., 0].mean((2, 3))
    swapped = mean[..., 0] > mean[..., 1]

    def chosen(one: Any, other: Any) -> Any:
        return np.where(swapped.reshape(*swapped.shape, *(1,) * (one.ndim - 2)), one, other)

    found = {"log_kappa": draws["log_kappa"]}
    for name in ("mu", "mu_s", "mu_st"):
        found[name] = chosen(draws[name][..., ::-1, :], draws[name])
    for name in ("log_eps", "log_sigma"):
        found[name] = chosen(draws[name][..., ::-1], draws[name])
    for name in ("eta", "pi"):
        found[name] = chosen(-draws[name], draws[name])
    return found


def hv_start(true: Arrays) -> dict[str, Any]:
    """The true values, group means standardised."""
    found = {name: true[name] for name in ("mu", "log_tau", "log_s")}
    return found | {"z_g": (true["mu_g"] - true["mu"]) / np.exp(true["log_tau"])}


def ms_hbm_start(true: Arrays) -> dict[str, Any]:
    """The true values, centroids and logits standardised."""
    found = {name: true[name] for name in ("mu", "log_eps", "log_sigma", "log_kappa")}
    found["z_s"] = (true["mu_s"] - true["mu"]) / np.exp(true["log_eps"])[:, None]
    found["z_st"] = (true["mu_st"] - true["mu_s"][:, None]) / np.exp(true["log_sigma"])[:, None]
    found["eta"] = true["eta"][:, 0]
    found["z_pi"] = (true["pi"] - true["eta"])[..., 0]
    return found


class Problem(NamedTuple):
    """A NumPyro model and what is stored of it.

    Args:
        model: The model, a function of the data.
        locals: The sites with plates.
        invariants: From draws `(chain, draw, ...)` to what is stored.
        start: From the true values to those that chains start at.
    """

    model: Callable[[Any], None]
    locals: tuple[str, ...] = ()
    invariants: Callable[[Arrays], dict[str, Any]] = dict
    start: Callable[[Arrays], dict[str, Any]] = dict


PROBLEMS = {
    "nc": Problem(nc),
    "hv": Problem(hv, ("mu_g", "log_s"), start=hv_start),
    "gm": Problem(gm, ("mu_g", "pi"), gm_invariants),
    "ms_hbm": Problem(
        ms_hbm, ("mu_s", "mu_st", "eta", "pi"), ms_hbm_invariants, start=ms_hbm_start
    ),
}


def main() -> None:
    """Draw, check the chains, and write `NAME.json` and `NAME.npz`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("problem", choices=sorted(PROBLEMS))
    parser.add_argument("data", help="what `benchmarks.peers.export` wrote")
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--warm-up", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=5000, help="per chain")
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--acceptance", type=float, default=0.95)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    numpyro.enable_x64()
    problem = PROBLEMS[arguments.problem]
    with np.load(arguments.data) as stored:
        arrays = {name: stored[name].astype(np.float64) for name in stored}
    true = {k.removeprefix("true_"): v for k, v in arrays.items() if k.startswith("true_")}
    kernel = NUTS(
        problem.model,
        target_accept_prob=arguments.acceptance,
        init_strategy=init_to_value(values=problem.start(true)),
    )
    sampler = MCMC(
        kernel,
        num_warmup=arguments.warm_up,
        num_samples=arguments.draws,
        num_chains=arguments.chains,
        chain_method="sequential",
        progress_bar=False,
    )
    start = time.perf_counter()
    sampler.run(jax.random.key(arguments.seed), x=jnp.asarray(arrays["x"]))
    drawn = {k: np.asarray(v) for k, v in sampler.get_samples(group_by_chain=True).items()}
    seconds = time.perf_counter() - start
    divergences = int(np.asarray(sampler.get_extra_fields()["diverging"]).sum())
    found = {k: v for k, v in problem.invariants(drawn).items() if not k.startswith("z_")}
    summaries = {name: summarised(value) for name, value in found.items()}
    worst = max(float(np.max(s["r_hat"])) for s in summaries.values())
    if not worst < 1.01:
        raise SystemExit(f"the chains disagree: R-hat up to {worst:.3f}; nothing is written.")
    entries = {
        entry: {key: float(part[index]) for key, part in summary.items()}
        for name, summary in summaries.items()
        if name not in problem.locals
        for entry, index in numbered(name, summary["mean"].shape)
    }
    arguments.folder.mkdir(parents=True, exist_ok=True)
    path = arguments.folder / f"{arguments.problem}.json"
    record = {
        "model": arguments.problem,
        "made_by": "benchmarks/peers/nuts.py",
        "data_seed": int(arrays["seed"]),
        "chains": arguments.chains,
        "draws": arguments.draws,
        "warm_up": arguments.warm_up,
        "acceptance": arguments.acceptance,
        "seed": arguments.seed,
        "numpyro": numpyro.__version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "seconds": round(seconds, 1),
        "divergences": divergences,
        "largest_r_hat": worst,
        "label_invariant": problem.invariants is not dict,
        "globals": entries,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    effects: dict[str, Any] = {}
    for name in problem.locals:
        effects[f"{name}_mean"] = summaries[name]["mean"].astype(np.float32)
        effects[f"{name}_sd"] = summaries[name]["sd"].astype(np.float32)
    np.savez(path.with_suffix(".npz"), **effects)
    least = min(float(np.min(s["ess"])) for s in summaries.values())
    print(json.dumps({"seconds": seconds, "r_hat": worst, "ess": least, "div": divergences}))


def summarised(value: Any) -> dict[str, Any]:
    """Mean, standard deviation, R-hat and effective sample size of `(chain, draw, ...)`."""
    return {
        "mean": value.mean((0, 1)),
        "sd": value.std((0, 1)),
        "r_hat": np.asarray(split_gelman_rubin(value)),
        "ess": np.asarray(effective_sample_size(value)),
    }


def numbered(name: str, shape: tuple[int, ...]) -> list[tuple[str, tuple[int, ...]]]:
    """The entries of a site, as `name` or `name[0, 1]`, with their indices."""
    if not shape:
        return [(name, ())]
    return [(f"{name}[{', '.join(map(str, index))}]", index) for index in np.ndindex(*shape)]


if __name__ == "__main__":
    main()
