r"""The log evidence of Chem97, by integrating out what is Gaussian.

python -m benchmarks.chem97_evidence --save

Given the three scales the model is linear and Gaussian. With :math:`u_i = (1, \mathrm{gcse}_i,
\mathrm{score}_i)` and :math:`S_s = \sum_{i \in s} u_i u_i'` of a school, of whose columns the
first is that of a group effect, the school effect leaves

.. math:: M_s = \sigma^{-2} S_s - \frac{\sigma^{-4} S_s e_1 e_1' S_s}
    {\tau_{\mathrm{school}}^{-2} + \sigma^{-2} n_s}, \qquad
    \log\det = n_s \log\sigma^2 + \log(1 + \tau_{\mathrm{school}}^2 \sigma^{-2} n_s),

sums of these over the schools of an authority lose its effect in the same way, and the sum over
authorities gives the Gaussian integral over :math:`\mu` and :math:`\beta`. What remains is an
integral over three scales, which Gauss-Legendre rules over a box around the posterior of NUTS
take: `log_evidence` is exact but for their error, which `refinement` shows by doubling the nodes,
and for what lies outside of the box, which `widening` shows by half as much again.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from benchmarks.report import report
from experiments.problems import chem97
from experiments.problems.evidence import save_evidence
from experiments.problems.reference import load_reference

SCALES = ("tau_lea", "tau_school", "sigma")
PRIOR_SCALES = (1.0, 2.0, 5.0)
PRIOR_MEAN, PRIOR_VARIANCE = np.array([5.0, 0.0]), 25.0
REACH = 9.0  # posterior standard deviations to each side


def without_effect(
    moments: Float[np.ndarray, "group 3 3"], variance: float
) -> tuple[Float[np.ndarray, "group 3 3"], float]:
    """Weighted moments, and what the log determinant gains, after an effect is integrated out.

    Args:
        moments: Of each group, of columns whose first is that of the effect.
        variance: Of the effect.
    """
    column, counts = moments[:, :, 0], moments[:, 0, 0]
    outer = column[:, :, None] * column[:, None, :]
    rest = moments - outer / (1 / variance + counts)[:, None, None]
    return rest, float(np.log1p(variance * counts).sum())


def log_likelihood(
    moments: Float[np.ndarray, "school 3 3"],
    lea: Int[np.ndarray, " school"],
    scales: Sequence[float],
) -> float:
    """The log density of all scores given the three scales, in nats.

    Args:
        moments: Of each school, sums of products of (1, gcse, score).
        lea: Of each school, the number of its authority.
        scales: The standard deviations of authorities, schools and pupils.
    """
    tau_lea, tau_school, sigma = scales
    pupils = moments[:, 0, 0].sum()
    schools, gained = without_effect(moments / sigma**2, tau_school**2)
    summed = np.zeros((int(lea.max()) + 1, 3, 3))
    np.add.at(summed, lea, schools)
    authorities, more = without_effect(summed, tau_lea**2)
    total = authorities.sum(0)
    precision = total[:2, :2] + np.eye(2) / PRIOR_VARIANCE
    pull = total[:2, 2] + PRIOR_MEAN / PRIOR_VARIANCE
    square = total[2, 2] + PRIOR_MEAN @ PRIOR_MEAN / PRIOR_VARIANCE
    square -= pull @ np.linalg.solve(precision, pull)
    log_det = pupils * math.log(sigma**2) + gained + more
    log_det += np.linalg.slogdet(precision * PRIOR_VARIANCE)[1]
    return float(-0.5 * (pupils * math.log(2 * math.pi) + log_det + square))


def log_evidence(
    moments: Float[np.ndarray, "school 3 3"],
    lea: Int[np.ndarray, " school"],
    box: Sequence[tuple[float, float]],
    nodes: Sequence[int],
) -> float:
    """The log integral over the scales, each between its bounds, by Gauss-Legendre rules."""
    rules = []
    for (low, high), size, prior in zip(box, nodes, PRIOR_SCALES, strict=True):
        points, weights = np.polynomial.legendre.leggauss(size)
        values = low + (high - low) * (points + 1) / 2
        half_normal = 0.5 * math.log(2 / math.pi) - math.log(prior) - values**2 / (2 * prior**2)
        rules.append((values, np.log(weights * (high - low) / 2) + half_normal))
    terms = [
        weight_lea + weight_school + weight_pupil + log_likelihood(moments, lea, (a, b, c))
        for a, weight_lea in zip(*rules[0], strict=True)
        for b, weight_school in zip(*rules[1], strict=True)
        for c, weight_pupil in zip(*rules[2], strict=True)
    ]
    return float(np.logaddexp.reduce(terms))


def school_moments() -> tuple[Float[np.ndarray, "school 3 3"], Int[np.ndarray, " school"]]:
    """Of each school the sums of products of (1, gcse, score), and its authority."""
    data = chem97.data(chem97.model())
    gcse, score = (data.values[name].double().numpy() for name in ("gcse", "score"))
    columns = np.stack([np.ones_like(gcse), gcse, score], 1)
    moments = np.zeros((data.cardinalities["school"], 3, 3))
    np.add.at(
        moments, data.links["pupil"]["school"].numpy(), columns[:, :, None] * columns[:, None]
    )
    return moments, data.links["school"]["lea"].numpy()


def main() -> None:
    """Integrate, and integrate again with other nodes and over a wider box."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--nodes", type=int, default=20, help="per scale; twice that for tau_lea")
    parser.add_argument("--save", action="store_true", help="into the stored evidences")
    arguments = parser.parse_args()
    moments, lea = school_moments()
    globals_ = load_reference("chem97").globals

    def box(reach: float) -> list[tuple[float, float]]:
        around = [globals_[name] for name in SCALES]
        return [(max(0.0, mean - reach * sd), mean + reach * sd) for mean, sd in around]

    size = arguments.nodes
    nodes = (2 * size, size, size)
    found = log_evidence(moments, lea, box(REACH), [2 * n for n in nodes])
    coarse = log_evidence(moments, lea, box(REACH), nodes)
    wide = log_evidence(moments, lea, box(1.5 * REACH), [3 * n for n in nodes])
    figures: dict[str, object] = {
        "problem": "chem97",
        "data_seed": 0,
        "log_evidence": found,
        "standard_error": 0.0,
        "refinement": found - coarse,
        "widening": wide - found,
    }
    if arguments.save:
        command = ["python", "-m", "benchmarks.chem97_evidence", *sys.argv[1:]]
        save_evidence("chem97", figures, command=" ".join(command))
    report(figures)


if __name__ == "__main__":
    main()
