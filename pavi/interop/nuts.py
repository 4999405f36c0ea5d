"""Reference draws of any model by the No-U-Turn Sampler of nutpie, on our log density."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.data import PlateData
from pavi.interop.density import LogDensity
from pavi.interop.reference import ReferencePosterior

# Beyond this many latent numbers a chain takes hours, and its draws gigabytes.
LARGEST = 20_000
# The spread of the chains' starts around the centre of the prior, in units of its scale.
JITTER = 0.5
# Draws to turn from standardised vectors into values at a time.
CHUNK = 200


def reference_posterior(
    model: HierarchicalModel,
    data: PlateData,
    *,
    draws: int = 1000,
    chains: int = 4,
    warm_up: int = 500,
    acceptance: float = 0.9,
    centred: Sequence[str] = (),
    seed: int = 0,
    compile: bool = True,
    progress: bool = False,
) -> ReferencePosterior:
    """Sample the posterior by Hamiltonian Monte Carlo, to check a fit against.

    It needs all data in every step and thousands of steps: use it at small size. Sites whose
    prior is a family of location and scale are non-centred, which few data per group favour;
    `centred` names those that many data pin down.

    Args:
        model: The template.
        data: The data; they are taken in double precision.
        draws: Per chain, after the warm-up.
        chains: The number of chains, one after the other.
        warm_up: Draws per chain that adapt the step size and the mass matrix, and are dropped.
        acceptance: The target acceptance probability; a higher one takes smaller steps.
        centred: Latent sites to sample as they are.
        seed: Of the chains. The same seed gives the same draws.
        compile: Whether to compile the log density, which takes a C++ compiler and a quarter of a
            minute, and makes each of the hundred thousand gradients several times faster.
        progress: Whether to show nutpie's bar.

    Returns:
        The draws, with R-hat, effective sample sizes and the number of divergences.

    Raises:
        ImportError: Without nutpie, which the extra `nuts` brings.
        ValueError: If the data belong to another model, a number is out of range, `centred` names
            no latent site, there are too many latent numbers, or the density at the start is not
            finite.

    Example:
        `reference = reference_posterior(schools, data); print(compare(posterior, reference))`
    """
    nutpie, arviz = _libraries()
    _check(model, data, draws=draws, chains=chains, warm_up=warm_up, acceptance=acceptance)
    density = LogDensity(model, _in_double(data.batch()), centred=centred)
    began = time.perf_counter()
    value_and_gradient = density.value_and_gradient(compile=compile)
    _check_start(density, value_and_gradient)
    compiled = time.perf_counter()
    calls = [0]

    def log_density() -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def evaluate(vector: np.ndarray) -> tuple[float, np.ndarray]:
            calls[0] += 1
            value, gradient = value_and_gradient(torch.tensor(vector))
            return float(value), gradient.numpy()

        return evaluate

    def keep(*_: int) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
        return lambda vector: {"vector": np.array(vector)}

    def start(chain_seed: int) -> np.ndarray:
        return np.random.default_rng(chain_seed).normal(scale=JITTER, size=density.dim)

    target = nutpie.compiled_pyfunc.from_pyfunc(
        density.dim,
        log_density,
        keep,
        [np.dtype(np.float64)],
        [(density.dim,)],
        ["vector"],
        make_initial_point_fn=start,
    )
    trace = nutpie.sample(
        target,
        draws=draws,
        tune=warm_up,
        chains=chains,
        cores=1,  # The log density holds Python's lock, so that threads would wait for each other.
        seed=seed,
        target_accept=acceptance,
        save_warmup=False,
        progress_bar=progress,
    )
    seconds = time.perf_counter() - compiled
    vectors = torch.tensor(np.asarray(trace.posterior["vector"].values))
    values = _values(density, vectors)
    return ReferencePosterior(
        draws=values,
        r_hat=_diagnostic(arviz, arviz.rhat, values, constant=1.0),
        ess=_diagnostic(arviz, arviz.ess, values, constant=float(draws * chains)),
        divergences=int(np.asarray(trace.sample_stats["diverging"].values).sum()),
        gradients=calls[0],
        seconds=seconds,
        compile_seconds=compiled - began,
    )


def _libraries() -> tuple[ModuleType, ModuleType]:
    try:
        with warnings.catch_warnings():
            # ArviZ 0.23 announces its successor at import.
            warnings.simplefilter("ignore", FutureWarning)
            import arviz
            import nutpie.compiled_pyfunc
    except ImportError:
        raise ImportError(
            "reference_posterior() needs nutpie, which is optional: pip install 'pavi-torch[nuts]'"
        ) from None
    return nutpie, arviz


def _check(
    model: HierarchicalModel,
    data: PlateData,
    *,
    draws: int,
    chains: int,
    warm_up: int,
    acceptance: float,
) -> None:
    if not isinstance(data, PlateData):
        raise ValueError(
            f"data must be a PlateData, got a {type(data).__name__}; make one with "
            "PlateData.from_frame(frame, model) or PlateData.from_arrays(arrays, model)."
        )
    if data.model is not model:
        raise ValueError(
            "the data were made for another model; build them with "
            "PlateData.from_frame(frame, model) or from_arrays(arrays, model)."
        )
    if absent := [site for site in model.observed if site not in data.measured]:
        raise ValueError(f"NUTS needs the observed values of {absent}, which the data lack.")
    # R-hat and effective sample sizes compare the halves of chains: four draws at least.
    numbers = (("draws", draws, 4), ("chains", chains, 1), ("warm_up", warm_up, 1))
    for name, number, least in numbers:
        if not isinstance(number, Integral) or number < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {number!r}.")
    if not 0 < acceptance < 1:
        raise ValueError(f"acceptance must lie between 0 and 1, got {acceptance}.")
    if (size := model.num_latents(data.cardinalities)) > LARGEST:
        raise ValueError(
            f"the posterior has {size:,} latent numbers, and NUTS would take hours; it is for at "
            f"most {LARGEST:,}. Try it on data.subset(...) with the rows of some groups."
        )


def _check_start(
    density: LogDensity, value_and_gradient: Callable[[Tensor], tuple[Tensor, Tensor]]
) -> None:
    """See that the density at the centre of the prior is finite, and name the site where not."""
    origin = torch.zeros(density.dim, dtype=torch.float64)
    value, gradient = value_and_gradient(origin)
    if torch.isfinite(value) and torch.isfinite(gradient).all():
        return
    factors = density.model.log_factors(density.values(origin.unsqueeze(0)), density.batch)
    blamed = [name for name, factor in factors.items() if not torch.isfinite(factor).all()]
    raise ValueError(
        f"the log density is not finite at the centre of the prior; sites to blame: "
        f"{blamed or 'none, only the gradient is not finite'}."
    )


def _in_double(batch: PlateBatch) -> PlateBatch:
    def convert(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {k: v.double() if v.is_floating_point() else v for k, v in tensors.items()}

    return replace(
        batch,
        weights=convert(batch.weights),
        values=convert(batch.values),
        like=batch.like.double(),
    )


@torch.no_grad()
def _values(density: LogDensity, vectors: Tensor) -> dict[str, Tensor]:
    """From vectors `(chain, draw, dim)` to the values of sites `(chain, draw, ...)`."""
    parts = [density.values(part) for part in vectors.flatten(0, 1).split(CHUNK)]
    return {
        name: torch.cat([part[name] for part in parts]).unflatten(0, vectors.shape[:2])
        for name in density.model.latents
    }


def _diagnostic(
    arviz: ModuleType,
    statistic: Callable[[Any], Any],
    values: Mapping[str, Tensor],
    *,
    constant: float,
) -> dict[str, Tensor]:
    """A statistic of the chains, per site; `constant` where the support leaves one value only.

    So does the first row of a correlation matrix's triangle. Chains that are stuck differ.
    """
    arrays = {name: value.numpy() for name, value in values.items()}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "invalid value encountered", RuntimeWarning)
        found = statistic(arviz.convert_to_dataset(arrays))
    result = {}
    for name, value in values.items():
        flat = value.flatten(0, 1)
        moves = flat.amax(0) > flat.amin(0)
        numbers = torch.tensor(np.asarray(found[name].values))
        result[name] = torch.where(moves, numbers, constant)
    return result
