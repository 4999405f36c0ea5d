r"""Linear mixed models: any number of nested or crossed grouping factors.

.. math:: \eta_i = \mu + x_i^\top \beta + \sum_k b^{(k)}_{k(i)}, \qquad
    b^{(k)}_j \sim N(0, \tau_k^2), \qquad y_i \sim p(y \mid \eta_i)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from inspect import Parameter, Signature

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Distribution, HalfNormal, Normal, Poisson

from pavi.core import Covariate, HierarchicalModel, Latent, Observed, Plate

RESERVED = ("obs", "x", "y", "intercept", "beta", "sigma")


class Likelihood(StrEnum):
    """How a measured value is distributed given the linear predictor."""

    GAUSSIAN = "gaussian"
    BERNOULLI = "bernoulli"
    POISSON = "poisson"


def linear_mixed_model(
    factors: Sequence[str] | Mapping[str, str | Sequence[str] | None],
    *,
    covariates: int = 0,
    likelihood: str = "gaussian",
    intercept: tuple[float, float] = (0.0, 2.5),
    coefficient: float = 2.5,
    group_scale: float | Mapping[str, float] = 1.0,
    residual: float = 2.5,
) -> HierarchicalModel:
    r"""A generalised linear model with group effects.

    Sites: `intercept` :math:`\sim N`; `beta (covariates,)` :math:`\sim N(0, c^2)`; per factor `k`
    its scale `tau_k` :math:`\sim` half-normal and effects `k_effect (k,)`; `sigma` :math:`\sim`
    half-normal if Gaussian; covariate `x (obs, covariates)`; observed `y (obs,)`, which is
    :math:`N(\eta, \sigma^2)`, Bernoulli with log-odds :math:`\eta`, or Poisson with log-rate
    :math:`\eta`. Plates: one per factor, and `obs`, which lies within the factors that hold no
    finer one. `beta` and `x` are left out without covariates.

    The default priors are for standardised covariates and, if Gaussian, a `y` of spread about one.
    On the log-rates of counts they are wide, up to rates of many thousands.

    Args:
        factors: Names of crossed factors, or a mapping from a factor to the one (or several) that
            it lies within, None where it lies within no other.
        covariates: The number of covariates, columns `x_0`, `x_1`, ... of a data frame.
        likelihood: `"gaussian"`, `"bernoulli"` or `"poisson"`.
        intercept: Mean and standard deviation of its normal prior.
        coefficient: The standard deviation of the normal prior of a coefficient.
        group_scale: The scale of the half-normal prior of every `tau_k`, or one per factor.
        residual: The scale of the half-normal prior of `sigma`.

    Raises:
        ValueError: If there is no factor, one has a name of a site or lies within an unknown one,
            the likelihood is unknown, covariates are negative, or a scale is not positive.

    Example:
        >>> model = linear_mixed_model(["student", "lecturer"], covariates=2, likelihood="poisson")
        >>> model.plates["obs"].within
        ('student', 'lecturer')
        >>> linear_mixed_model({"lea": None, "school": "lea"}).latents
        ('intercept', 'tau_lea', 'lea_effect', 'tau_school', 'school_effect', 'sigma')

    Reference:
        Gelman and Hill (2007), Data analysis using regression and multilevel/hierarchical models,
        chapters 12 to 14. Half-normal scales: Gelman (2006), section 7.
    """
    within = _within(factors)
    scales = _scales(within, group_scale)
    _check(covariates, likelihood, intercept, coefficient=coefficient, residual=residual)
    mean, sd = intercept
    sites: dict[str, Latent | Observed | Covariate] = {
        "intercept": Latent(lambda: Normal(mean, sd)),
    }
    if covariates:
        zero = torch.zeros(covariates)
        sites["beta"] = Latent(lambda: Normal(zero, coefficient), event_shape=(covariates,))
        sites["x"] = Covariate("obs", event_shape=(covariates,))
    for factor, scale in scales.items():
        sites[f"tau_{factor}"] = Latent(_half_normal(scale))
        sites[f"{factor}_effect"] = Latent(_effect(f"tau_{factor}"), plates=factor)
    gaussian = likelihood == Likelihood.GAUSSIAN
    if gaussian:
        sites["sigma"] = Latent(lambda: HalfNormal(residual))
    parents = ["intercept", *(f"{factor}_effect" for factor in within)]
    parents += ["beta", "x"] if covariates else []
    parents += ["sigma"] if gaussian else []
    sites["y"] = Observed(_likelihood(parents, Likelihood(likelihood)), plates="obs")
    held = {parent for parents_of in within.values() for parent in parents_of}
    finest = tuple(factor for factor in within if factor not in held)
    plates = [Plate(factor, within=above) for factor, above in within.items()]
    return HierarchicalModel([*plates, Plate("obs", within=finest)], sites)


def _half_normal(scale: float) -> Callable[[], Distribution]:
    return lambda: HalfNormal(scale)


def _effect(tau: str) -> Callable[..., Distribution]:
    return _named([tau], lambda values: Normal(0.0, values[tau]))


def _likelihood(parents: Sequence[str], likelihood: Likelihood) -> Callable[..., Distribution]:
    def distribution(values: Mapping[str, Tensor]) -> Distribution:
        additive = [name for name in parents if name not in ("beta", "x", "sigma")]
        predictor = sum((values[name] for name in additive[1:]), values[additive[0]])
        if "beta" in values:
            predictor = predictor + (values["x"] * values["beta"]).sum(-1)
        if likelihood is Likelihood.BERNOULLI:
            return Bernoulli(logits=predictor)
        if likelihood is Likelihood.POISSON:
            return Poisson(predictor.exp())
        return Normal(predictor, values["sigma"])

    return _named(parents, distribution)


def _named(
    parents: Sequence[str], of: Callable[[Mapping[str, Tensor]], Distribution]
) -> Callable[..., Distribution]:
    """A conditional of these parents; a site reads them off the signature."""

    def conditional(**values: Tensor) -> Distribution:
        return of(values)

    signature = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in parents])
    conditional.__signature__ = signature  # type: ignore[attr-defined]
    return conditional


def _within(
    factors: Sequence[str] | Mapping[str, str | Sequence[str] | None],
) -> dict[str, tuple[str, ...]]:
    if isinstance(factors, str):
        raise ValueError(f"factors must be a list of names or a mapping, got {factors!r}.")
    if not isinstance(factors, Mapping):
        if len(set(factors)) < len(factors):
            raise ValueError(f"factors must have distinct names, got {list(factors)}.")
        factors = dict.fromkeys(factors)
    if not factors:
        raise ValueError("factors must name at least one grouping factor, got none.")
    found: dict[str, tuple[str, ...]] = {}
    for name, above in factors.items():
        found[name] = (above,) if isinstance(above, str) else tuple(above or ())
        if name in RESERVED:
            raise ValueError(
                f"a factor cannot be called {name!r}, which is a site or plate of the model; "
                f"these are {list(RESERVED)}."
            )
        if unknown := [parent for parent in found[name] if parent not in factors]:
            raise ValueError(
                f"factor {name!r} lies within {unknown[0]!r}, which is not a factor; "
                f"factors are {list(factors)}."
            )
    return found


def _scales(
    within: Mapping[str, object], group_scale: float | Mapping[str, float]
) -> dict[str, float]:
    if not isinstance(group_scale, Mapping):
        group_scale = dict.fromkeys(within, group_scale)
    if set(group_scale) != set(within):
        raise ValueError(
            f"group_scale must be one number or name every factor; got {sorted(group_scale)}, "
            f"factors are {list(within)}."
        )
    for factor, scale in group_scale.items():
        if not scale > 0:
            raise ValueError(f"group_scale of {factor!r} must be positive, got {scale}.")
    return {factor: group_scale[factor] for factor in within}


def _check(
    covariates: int,
    likelihood: str,
    intercept: tuple[float, float],
    *,
    coefficient: float,
    residual: float,
) -> None:
    if covariates < 0:
        raise ValueError(f"covariates must be a number of columns, got {covariates}.")
    if likelihood not in list(Likelihood):
        choices = [str(choice) for choice in Likelihood]
        raise ValueError(f"likelihood must be one of {choices}, got {likelihood!r}.")
    scales = {"intercept": intercept[1], "coefficient": coefficient, "residual": residual}
    for name, scale in scales.items():
        if not scale > 0:
            raise ValueError(f"the scale of {name} must be positive, got {scale}.")
