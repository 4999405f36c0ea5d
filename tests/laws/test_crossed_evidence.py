"""A crossed Gaussian: log p(x, theta) - log p(theta | x) is the log evidence for every draw.

The exact posterior ties the two factors to each other, so it is in no plate-amortized family; here
it is a dense Gaussian, and the law is one of the model's densities, links and missing values.
"""

from __future__ import annotations

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

import pavi
from pavi import Latent, Observed, Plate

STUDENTS, LECTURERS = [0, 0, 1, 2, 2, 2], [0, 1, 1, 0, 2, 1]
SIGMA = 0.4


@pytest.mark.parametrize("missing", [[], [1, 4]])
def test_the_evidence_for_every_draw(missing):
    model = pavi.HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
        {
            "mu": Latent(lambda: Normal(0.0, 2.0)),
            "a": Latent(lambda: Normal(0.0, 0.7), "student"),
            "b": Latent(lambda: Normal(0.0, 1.3), "lecturer"),
            "y": Observed(lambda mu, a, b: Normal(mu + a + b, SIGMA), "rating"),
        },
    )
    y = torch.randn(6, dtype=torch.float64)
    holed = y.clone()
    holed[missing] = float("nan")
    links = {"rating": {"student": STUDENTS, "lecturer": LECTURERS}}
    data = pavi.PlateData.from_arrays(
        {"y": holed}, model, links=links, missing="ignore", dtype=torch.float64
    )
    kept = [row for row in range(6) if row not in missing]
    design = torch.zeros(6, 7, dtype=torch.float64)
    for row in range(6):
        design[row, [0, 1 + STUDENTS[row], 4 + LECTURERS[row]]] = 1.0
    design, y = design[kept], y[kept]
    prior = torch.tensor([2.0] + [0.7] * 3 + [1.3] * 3, dtype=torch.float64).square().diag()
    noise = SIGMA**2 * torch.eye(len(kept), dtype=torch.float64)
    marginal = MultivariateNormal(torch.zeros_like(y), design @ prior @ design.T + noise)
    precision = torch.linalg.inv(prior) + design.T @ design / SIGMA**2
    mean = torch.linalg.solve(precision, design.T @ y / SIGMA**2)
    posterior = MultivariateNormal(mean, precision_matrix=precision)
    theta = posterior.sample((16,))
    values = {"mu": theta[:, 0], "a": theta[:, 1:4], "b": theta[:, 4:]}
    factors = model.log_factors(values, data.batch())
    joint = sum(factor.reshape(16, -1).sum(1) for factor in factors.values())
    evidence = marginal.log_prob(y).expand(16)
    torch.testing.assert_close(joint - posterior.log_prob(theta), evidence)
