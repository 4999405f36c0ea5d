"""The flat log density is the model's, with the exact change of variables."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import (
    Dirichlet,
    Gamma,
    HalfNormal,
    LKJCholesky,
    LogNormal,
    MultivariateNormal,
    Normal,
    StudentT,
)

import pavi
from pavi import Covariate, Latent, Observed, Plate, PlateData
from pavi.interop.density import LogDensity
from pavi.interop.tape import Tape

ZERO = torch.zeros(2)


@pytest.fixture(scope="module")
def model() -> pavi.HierarchicalModel:
    """Every kind of prior: location-scale, under an exponential, whitened, none of these."""
    return pavi.HierarchicalModel(
        plates=[Plate("group"), Plate("obs", within="group")],
        sites={
            "mu": Latent(lambda: StudentT(4.0, 1.0, 2.0)),
            "tau": Latent(lambda: HalfNormal(torch.tensor([2.0, 1.0])), event_shape=(2,)),
            "corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2)),
            "weight": Latent(lambda: Dirichlet(torch.ones(3)), event_shape=(3,)),
            "b": Latent(
                lambda tau, corr: MultivariateNormal(
                    ZERO.to(tau), scale_tril=tau.unsqueeze(-1) * corr
                ),
                plates="group",
                event_shape=(2,),
            ),
            "rate": Latent(lambda mu, tau: LogNormal(mu, tau[..., 0]), plates="group"),
            "shape": Latent(lambda rate: Gamma(2.0 + rate, 1.0), plates="group"),
            "x": Covariate(plates="obs"),
            "y": Observed(
                lambda b, rate, shape, weight, x: Normal(
                    b[..., 0] + b[..., 1] * x + weight[..., 0], rate + shape
                ),
                plates="obs",
            ),
        },
    )


@pytest.fixture(scope="module")
def data(model) -> PlateData:
    drawn = model.simulate({"group": 3, "obs": 8}, seed=1, dtype=torch.float64)
    return PlateData.from_arrays(
        drawn.arrays,
        model,
        links={"obs": drawn.links["obs"]["group"]},
        dtype=torch.float64,
    )


def free(density: LogDensity, values: dict) -> torch.Tensor:
    """All sites in unconstrained space, one after the other, in the order of the flat vector."""
    parts = []
    for name in density.model.latents:
        prior = density.model.conditional(name, values, density.batch, draws=1)
        transform = density.model.transform(prior)
        value = values[name] if transform is None else transform.inv(values[name])
        parts.append(value.reshape(-1))
    return torch.cat(parts)


def ladj(density: LogDensity, values: dict) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for name in density.model.latents:
        prior = density.model.conditional(name, values, density.batch, draws=1)
        if (transform := density.model.transform(prior)) is not None:
            start = transform.inv(values[name])
            total = total + transform.log_abs_det_jacobian(start, values[name]).sum()
    return total


@pytest.mark.parametrize("centred", [(), ("b", "rate"), ("mu", "tau", "shape")])
def test_the_density_is_the_models_times_the_jacobian(model, data, centred):
    density = LogDensity(model, data.batch(), centred=centred)
    vector = 0.5 * torch.randn(density.dim, dtype=torch.float64)
    values = density.values(vector.unsqueeze(0))
    joint = sum(f.sum() for f in model.log_factors(values, data.batch()).values())
    jacobian = torch.autograd.functional.jacobian(
        lambda z: free(density, density.values(z.unsqueeze(0))), vector
    )
    expected = joint + ladj(density, values) + torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(density(vector.unsqueeze(0))[0], expected)


def test_draws_are_independent_of_each_other(model, data):
    density = LogDensity(model, data.batch())
    vectors = 0.5 * torch.randn(4, density.dim, dtype=torch.float64)
    one_by_one = torch.cat([density(vector.unsqueeze(0)) for vector in vectors])
    torch.testing.assert_close(density(vectors), one_by_one)


def test_values_lie_in_their_supports_and_shapes(model, data):
    density = LogDensity(model, data.batch())
    values = density.values(2 * torch.randn(5, density.dim, dtype=torch.float64))
    for name, value in values.items():
        site = model.sites[name]
        assert value.shape == (5, *data.batch().shape(site.plates), *site.event_shape)
        assert model.supports[name].check(value).all()


def test_a_recorded_gradient_is_that_of_autograd(model, data):
    density = LogDensity(model, data.batch())
    recorded = density.value_and_gradient()
    for _ in range(3):  # Other numbers than those it was recorded with.
        vector = torch.randn(density.dim, dtype=torch.float64)
        leaf = vector.clone().requires_grad_()
        value = density(leaf.unsqueeze(0)).squeeze(0)
        (gradient,) = torch.autograd.grad(value, leaf)
        found = recorded(vector)
        torch.testing.assert_close(found, (value.detach(), gradient))


def test_missing_observations_do_not_count():
    model = pavi.HierarchicalModel(
        plates=[Plate("obs")],
        sites={
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "y": Observed(lambda mu: Normal(mu, 1.0), plates="obs"),
        },
    )
    kept, nan = [1.0, 2.0], float("nan")
    some = PlateData.from_arrays({"y": [*kept, nan]}, model, missing="ignore", dtype=torch.float64)
    few = PlateData.from_arrays({"y": kept}, model, dtype=torch.float64)
    vector = torch.tensor([[0.3]], dtype=torch.float64)
    torch.testing.assert_close(
        LogDensity(model, some.batch())(vector), LogDensity(model, few.batch())(vector)
    )


def test_control_flow_that_depends_on_numbers_is_refused():
    def function(vectors: torch.Tensor) -> torch.Tensor:
        total = vectors.sum(-1)
        return total if total.item() > 0 else -total

    with pytest.raises(ValueError, match=r"cannot be recorded.*torch\.where"):
        Tape(function, torch.zeros(2))


def test_an_unknown_centred_site_is_named(model, data):
    with pytest.raises(ValueError, match=r"centred names 'beta', which is not a latent site"):
        LogDensity(model, data.batch(), centred=["beta"])
