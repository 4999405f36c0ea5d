r"""The ELBO of independent Gaussians on the problems of the race, in closed form.

The guides of the peers have one Gaussian :math:`N(m, s^2)` per latent number, of the logarithm
where it is a scale. All expectations of such a guide are known: those of squares, with

.. math:: E (a - b)^2 = (m_a - m_b)^2 + s_a^2 + s_b^2,

and those of precisions, :math:`E e^{-2 a} = e^{-2 m_a + 2 s_a^2}`. So gaps have no noise, and to
measure one takes sums over groups, not over data. Only numpy is needed: every environment of the
race, and the tests, read this file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, final

import numpy as np

Array = np.ndarray
Gaussians = Mapping[str, tuple[Any, Any]]
HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)
GRE_SCALES = (0.5, 0.5, 0.1)
HV_SPREAD = 0.5
CHEM97_SCALES = {"tau_lea": 1.0, "tau_school": 2.0, "sigma": 5.0}


class Bound(ABC):
    """The ELBO of independent Gaussians on the data of one problem.

    A concrete class keeps sums of the data and sums expectations of log densities.

    Attributes:
        latents: The names of the latent sites.
        size: How many latent numbers there are.
    """

    latents: tuple[str, ...]
    size: int

    @abstractmethod
    def log_joint(self, mean: Mapping[str, Array], sd: Mapping[str, Array]) -> float:
        """The expectation of the log joint density, with respect to logarithms of scales."""

    def __call__(self, gaussians: Gaussians) -> float:
        """The ELBO in nats.

        Args:
            gaussians: Per latent site, the arrays of means and standard deviations.

        Raises:
            ValueError: If the sites are others.
        """
        if set(gaussians) != set(self.latents):
            raise ValueError(
                f"a Gaussian for each of {sorted(self.latents)} is needed; "
                f"got {sorted(gaussians)}."
            )
        mean = {name: np.asarray(m, float) for name, (m, _) in gaussians.items()}
        sd = {name: np.asarray(s, float) for name, (_, s) in gaussians.items()}
        entropy = sum(float((np.log(s) + 0.5 + HALF_LOG_TAU).sum()) for s in sd.values())
        return self.log_joint(mean, sd) + entropy


@final
class GREBound(Bound):
    """Of Gaussian random effects, `x` of shape (group, obs, dim)."""

    latents = ("mu", "mu_g")

    def __init__(self, x: Array) -> None:
        groups, self.obs, dim = x.shape
        self.size = dim * (1 + groups)
        self.means = x.mean(1, dtype=float)
        self.within = sum(
            float(np.square(part - part.mean(1, keepdims=True)).sum())
            for part in (x[i : i + 4096].astype(float) for i in range(0, groups, 4096))
        )

    def log_joint(self, mean: Mapping[str, Array], sd: Mapping[str, Array]) -> float:
        """See the base class."""
        s_mu, s_g, s_x = GRE_SCALES
        m, v, m_g, v_g = mean["mu"], sd["mu"] ** 2, mean["mu_g"], sd["mu_g"] ** 2
        top = _normal(m**2 + v, s_mu)
        middle = _normal((m_g - m) ** 2 + v_g + v, s_g)
        squares = self.within + self.obs * float(((self.means - m_g) ** 2 + v_g).sum())
        count = self.obs * self.means.size
        data = -count * (HALF_LOG_TAU + math.log(s_x)) - squares / (2 * s_x**2)
        return top + middle + data


@final
class HVBound(Bound):
    """Of hierarchical variances, `x` of shape (group, obs, dim)."""

    latents = ("mu", "log_tau", "mu_g", "log_s")

    def __init__(self, x: Array) -> None:
        x = x.astype(float)
        groups, self.obs, dim = x.shape
        self.size = dim + 1 + groups * (dim + 1)
        self.means = x.mean(1)
        self.within = np.square(x - x.mean(1, keepdims=True)).sum((1, 2))

    def log_joint(self, mean: Mapping[str, Array], sd: Mapping[str, Array]) -> float:
        """See the base class."""
        m, v, m_g, v_g = mean["mu"], sd["mu"] ** 2, mean["mu_g"], sd["mu_g"] ** 2
        found = _normal(m**2 + v, 1.0)
        found += _normal(mean["log_tau"] ** 2 + sd["log_tau"] ** 2, 1.0)
        found += _normal(mean["log_s"] ** 2 + sd["log_s"] ** 2, HV_SPREAD)
        spread = (m_g - m) ** 2 + v_g + v
        found += _scaled(spread.sum(), spread.size, mean["log_tau"], sd["log_tau"])
        squares = self.within + self.obs * ((self.means - m_g) ** 2 + v_g).sum(1)
        count = self.obs * self.means.shape[1]
        return found + _scaled(squares, count, mean["log_s"], sd["log_s"])


@final
class Chem97Bound(Bound):
    """Of pupils in schools in authorities; scales by their logarithms.

    Args:
        gcse: Of each pupil.
        score: Of each pupil.
        school: Of each pupil, the number of the school.
        lea: Of each school, the number of the authority.
    """

    latents = ("mu", "beta", "tau_lea", "tau_school", "sigma", "lea_effect", "school_effect")

    def __init__(self, gcse: Array, score: Array, school: Array, lea: Array) -> None:
        self.lea, self.leas, self.pupils = lea, int(lea.max()) + 1, len(score)
        self.size = 5 + self.leas + len(lea)
        columns = np.stack([np.ones(len(score)), gcse, score], 1).astype(float)
        self.sums = np.zeros((len(lea), 3))
        np.add.at(self.sums, school, columns)
        self.moments = columns.T @ columns

    def log_joint(self, mean: Mapping[str, Array], sd: Mapping[str, Array]) -> float:
        """See the base class."""
        v = {name: s**2 for name, s in sd.items()}
        found = _normal((mean["mu"] - 5.0) ** 2 + v["mu"], 5.0)
        found += _normal(mean["beta"] ** 2 + v["beta"], 5.0)
        for name, scale in CHEM97_SCALES.items():  # A half-normal has twice the density.
            square = np.exp(2 * mean[name] + 2 * v[name])
            found += _normal(square, scale) + math.log(2) + float(mean[name])
        for effect, name in (("lea_effect", "tau_lea"), ("school_effect", "tau_school")):
            squares = mean[effect] ** 2 + v[effect]
            found += _scaled(squares.sum(), squares.size, mean[name], sd[name])
        # score - mu - beta gcse - effect, squared and summed by way of the moments.
        effect = mean["lea_effect"][self.lea] + mean["school_effect"]
        spread = v["lea_effect"][self.lea] + v["school_effect"]
        line = np.array([-float(mean["mu"]), -float(mean["beta"]), 1.0])
        counts = self.sums[:, 0]
        squares = line @ self.moments @ line - 2 * effect @ (self.sums @ line)
        squares += counts @ (effect**2 + spread)
        squares += self.moments[0, 0] * v["mu"] + self.moments[1, 1] * v["beta"]
        return found + _scaled(squares, self.pupils, mean["sigma"], sd["sigma"])


def read_bound(path: str) -> tuple[Bound, float]:
    """The bound of the data that `benchmarks.peers.export` wrote, and their log evidence.

    Raises:
        ValueError: If the data are of another problem.
    """
    with np.load(path) as stored:
        problem, evidence = str(stored["problem"]), float(stored["log_evidence"])
        if problem == "gre":
            return GREBound(stored["x"]), evidence
        if problem == "hv":
            return HVBound(stored["x"]), evidence
        if problem == "chem97":
            names = ("gcse", "score", "school", "lea")
            return Chem97Bound(*(stored[name] for name in names)), evidence
    raise ValueError(f"{path} holds {problem!r}; bounds are known of ['chem97', 'gre', 'hv'].")


def _normal(squares: Array, scale: float) -> float:
    """Of numbers around zero with a known scale, from the expectations of their squares."""
    return float((-HALF_LOG_TAU - math.log(scale) - squares / (2 * scale**2)).sum())


def _scaled(squares: Any, counts: Any, mean: Array, sd: Array) -> float:
    """Of `counts` numbers around zero whose log scale is Gaussian, summed over scales."""
    precision = np.exp(-2 * mean + 2 * sd**2)
    return float(np.sum(-counts * (HALF_LOG_TAU + mean) - 0.5 * precision * squares))
