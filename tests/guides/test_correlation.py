"""A correlation matrix as a latent site."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import LKJCholesky, MultivariateNormal, constraints

from pavi import HierarchicalModel, Latent, Observed, Plate, PlateAmortizedGuide, PlateData
from pavi.core.distributions import location_and_scale
from pavi.guides.prior_draw import prior_draw

ZERO = torch.zeros(3)


def correlated() -> HierarchicalModel:
    return HierarchicalModel(
        plates=[Plate("row")],
        sites={
            "corr": Latent(lambda: LKJCholesky(3, 1.5), event_shape=(3, 3)),
            "y": Observed(
                lambda corr: MultivariateNormal(ZERO.to(corr), scale_tril=corr),
                plates="row",
                event_shape=(3,),
            ),
        },
    )


def test_the_guide_draws_correlation_matrices_and_knows_their_density():
    model = correlated()
    drawn = model.simulate({"row": 6}, seed=1, dtype=torch.float64)
    data = PlateData.from_arrays(drawn.arrays, model, dtype=torch.float64)
    guide = PlateAmortizedGuide(model, data.cardinalities).double()
    result = guide(data.batch(), draws=4)
    value = result.values["corr"]
    assert value.shape == (4, 3, 3)
    assert constraints.corr_cholesky.check(value).all()
    found = guide.log_prob(result.values, data.batch())["corr"]
    torch.testing.assert_close(found, result.log_q["corr"])
    result.log_q["corr"].sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in guide.parameters())


def test_the_centre_of_its_prior_is_no_correlation():
    model = correlated()
    prior = LKJCholesky(3, torch.full((2,), 1.5))
    location, scale = location_and_scale(prior, model.transform(prior))
    assert location.shape == (2, 3)
    assert location.abs().max() == 0
    assert scale is None


def test_a_guide_that_moves_draws_of_the_prior_says_that_it_cannot():
    with pytest.raises(ValueError, match="those of LKJCholesky have no gradients"):
        prior_draw(
            LKJCholesky(3, torch.ones(2)),
            torch.Generator().manual_seed(0),
            like=torch.zeros(()),
            antithetic=False,
            noise=1.0,
        )
