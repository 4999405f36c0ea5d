"""Pyro models read into templates have the densities of the same models written natively."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from torch.distributions import (
    Bernoulli,
    Categorical,
    Dirichlet,
    HalfNormal,
    LKJCholesky,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Poisson,
)

import pavi
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate, PlateData
from pavi.interop import from_pyro

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pyro = pytest.importorskip("pyro")
import pyro.distributions as dist  # noqa: E402

DRAWS = 3
FLOAT = torch.float64


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=FLOAT)


# Data of every model, in double precision.
SCHOOL = torch.tensor([0, 3, 1, 1, 2, 0, 3, 3, 2, 1, 0, 2])
ITEM = torch.tensor([0, 1, 2, 0, 1, 2, 2, 1, 0, 0, 1, 2])
X12, Z12 = normal(12), normal(2, 12)[1]
GRID = normal(4, 3, 2)
COUNTS = torch.tensor([0.0, 3.0, 1.0, 2.0, 0.0])
ANSWERS = torch.tensor([0.0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1], dtype=FLOAT)


def ragged():
    def model(school, z, y):
        mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
        tau = pyro.sample("tau", dist.HalfNormal(1.0))
        with pyro.plate("school", 4):
            b = pyro.sample("b", dist.Normal(mu, tau))
        with pyro.plate("pupil", 12):
            pyro.sample("y", dist.Normal(b[school] * z + mu, 1.5), obs=y)

    native = HierarchicalModel(
        [Plate("school"), Plate("pupil", within="school")],
        {
            "mu": Latent(lambda: Normal(0.0, 2.0)),
            "tau": Latent(lambda: HalfNormal(1.0)),
            "b": Latent(lambda mu, tau: Normal(mu, tau), plates="school"),
            "z": Covariate("pupil"),
            "y": Observed(lambda b, z, mu: Normal(b * z + mu, 1.5), plates="pupil"),
        },
    )
    return model, (SCHOOL, Z12, X12), native, {"z": Z12, "y": X12}, {"pupil": SCHOOL}


def crossed():
    def model(school, item, y):
        with pyro.plate("school", 4):
            a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("item", 3):
            b = pyro.sample("b", dist.Normal(0.5, 2.0))
        with pyro.plate("answer", 12):
            pyro.sample("y", dist.Bernoulli(logits=a[school] - b[item]), obs=y)

    native = HierarchicalModel(
        [Plate("school"), Plate("item"), Plate("answer", within=("school", "item"))],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), plates="school"),
            "b": Latent(lambda: Normal(0.5, 2.0), plates="item"),
            "y": Observed(lambda a, b: Bernoulli(logits=a - b), plates="answer"),
        },
    )
    links = {"answer": {"school": SCHOOL, "item": ITEM}}
    return model, (SCHOOL, ITEM, ANSWERS), native, {"y": ANSWERS}, links


def nested(subsample: tuple[int | None, int | None] = (None, None)):
    def model(x):
        mu = pyro.sample("mu", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        plates = (
            pyro.plate("group", 4, subsample_size=subsample[0], dim=-2),
            pyro.plate("obs", 3, subsample_size=subsample[1], dim=-1),
        )
        with plates[0] as rows:
            theta = pyro.sample("theta", dist.Normal(mu, 0.5).to_event(1))
            with plates[1] as columns:
                seen = x[rows][:, columns]
                pyro.sample("x", dist.Normal(theta, 0.1).to_event(1), obs=seen)

    zero = torch.zeros(2)
    native = HierarchicalModel(
        [Plate("group"), Plate("obs")],
        {
            "mu": Latent(lambda: Normal(zero, 1.0), event_shape=(2,)),
            "theta": Latent(lambda mu: Normal(mu, 0.5), plates="group", event_shape=(2,)),
            "x": Observed(
                lambda theta: Normal(theta, 0.1), plates=("group", "obs"), event_shape=(2,)
            ),
        },
    )
    return model, (GRID,), native, {"x": GRID}, {}


def whitened():
    def model(x):
        tau = pyro.sample("tau", dist.HalfNormal(torch.ones(2)).to_event(1))
        corr = pyro.sample("corr", dist.LKJCholesky(2, 2.0))
        with pyro.plate("group", 12):
            tril = tau.unsqueeze(-1) * corr
            b = pyro.sample("b", dist.MultivariateNormal(torch.zeros(2), scale_tril=tril))
            pyro.sample("x", dist.Normal(b[..., 0] - b[..., 1], 1.0), obs=x)

    zero, one = torch.zeros(2), torch.ones(2)
    native = HierarchicalModel(
        [Plate("group")],
        {
            "tau": Latent(lambda: HalfNormal(one), event_shape=(2,)),
            "corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2)),
            "b": Latent(
                lambda tau, corr: MultivariateNormal(
                    zero.to(tau), scale_tril=tau.unsqueeze(-1) * corr
                ),
                plates="group",
                event_shape=(2,),
            ),
            "x": Observed(lambda b: Normal(b[..., 0] - b[..., 1], 1.0), plates="group"),
        },
    )
    return model, (X12,), native, {"x": X12}, {}


def mixture():
    def model(x):
        weight = pyro.sample("weight", dist.Dirichlet(torch.ones(3)))
        mean = pyro.sample("mean", dist.Normal(torch.zeros(3), 2.0).to_event(1))
        with pyro.plate("point", 12):
            parts = dist.MixtureSameFamily(dist.Categorical(weight), dist.Normal(mean, 0.5))
            pyro.sample("x", parts, obs=x)

    zero, one = torch.zeros(3), torch.ones(3)
    native = HierarchicalModel(
        [Plate("point")],
        {
            "weight": Latent(lambda: Dirichlet(one), event_shape=(3,)),
            "mean": Latent(lambda: Normal(zero, 2.0), event_shape=(3,)),
            "x": Observed(
                lambda weight, mean: MixtureSameFamily(
                    Categorical(probs=weight), Normal(mean, 0.5)
                ),
                plates="point",
            ),
        },
    )
    return model, (X12,), native, {"x": X12}, {}


def counts():
    def model(y):
        rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
        with pyro.plate("day", len(y)):
            pyro.sample("y", dist.Poisson(rate), obs=y)

    native = HierarchicalModel(
        [Plate("day")],
        {
            "rate": Latent(lambda: torch.distributions.Gamma(2.0, 1.0)),
            "y": Observed(lambda rate: Poisson(rate), plates="day"),
        },
    )
    return model, (COUNTS,), native, {"y": COUNTS}, {}


MODELS = {
    "ragged": ragged,
    "crossed": crossed,
    "nested": nested,
    "nested, subsampled": lambda: nested((2, 2)),
    "nested, subsampled outside": lambda: nested((3, None)),
    "whitened": whitened,
    "mixture": mixture,
    "counts": counts,
}


@pytest.fixture(params=MODELS, scope="module")
def both(request):
    source, arguments, native, arrays, links = MODELS[request.param]()
    read = from_pyro(source, *arguments, dtype=FLOAT)
    return read, native, PlateData.from_arrays(arrays, native, links=links, dtype=FLOAT)


def simulated(native, data) -> dict[str, torch.Tensor]:
    """Draws of the prior that take part in the gradient."""
    torch.manual_seed(7)
    values = {}
    for name in native.latents:
        prior = native.conditional(name, values, data.batch(), draws=DRAWS)
        values[name] = prior.sample().requires_grad_()
    return values


def test_sites_and_plates_are_found(both):
    read, native, data = both
    assert set(read.model.latents) == set(native.latents)
    assert read.model.observed == native.observed
    assert {p: set(plate.within) for p, plate in read.model.plates.items()} == {
        p: set(plate.within) for p, plate in native.plates.items()
    }
    assert read.data.cardinalities == data.cardinalities
    for name in native.observed:
        assert torch.equal(read.data.values[name], data.values[name])
    for name in native.latents:
        own = set(read.model.sites[name].parents) - set(read.model.covariates)
        assert own == set(native.sites[name].parents)


def test_densities_and_gradients_are_those_of_the_native_model(both):
    read, native, data = both
    values = simulated(native, data)
    expected = native.log_factors(values, data.batch())
    found = read.model.log_factors(values, read.data.batch())
    for name, factor in expected.items():
        torch.testing.assert_close(found[name], factor, rtol=0, atol=1e-10)
    leaves = list(values.values())
    one = torch.autograd.grad(sum(f.sum() for f in expected.values()), leaves, allow_unused=True)
    two = torch.autograd.grad(sum(f.sum() for f in found.values()), leaves, allow_unused=True)
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-9)


def test_batches_of_rows_have_the_same_densities(both):
    """Rows that share a parent, so that a gradient counted twice would show."""
    read, native, data = both
    values = simulated(native, data)
    chosen: dict[str, np.ndarray] = {}
    for plate in reversed(native.plates):
        if not native.plates.children(plate):
            chosen[plate] = np.arange(1, data.cardinalities[plate])[:5]
    for plate, parents in data.links.items():
        for parent, links in parents.items():
            chosen[parent] = np.unique(links.numpy()[chosen[plate]])
    part = {}
    for name in native.latents:
        part[name] = values[name].detach()
        for axis, plate in enumerate(native.sites[name].plates):
            part[name] = part[name].index_select(1 + axis, torch.as_tensor(chosen[plate]))
        part[name].requires_grad_()
    expected = native.log_factors(part, data.batch(chosen))
    found = read.model.log_factors(part, read.data.batch(chosen))
    leaves = list(part.values())
    for name, factor in expected.items():
        torch.testing.assert_close(found[name], factor, rtol=0, atol=1e-10)
    one = torch.autograd.grad(sum(f.sum() for f in expected.values()), leaves, allow_unused=True)
    two = torch.autograd.grad(sum(f.sum() for f in found.values()), leaves, allow_unused=True)
    torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-9)


def test_a_model_that_was_read_can_be_fitted():
    source, arguments, native, arrays, links = ragged()
    model, data = from_pyro(source, *arguments)
    posterior = pavi.fit(model, data, steps=3, progress=False)
    assert posterior.sample("b", draws=5).shape == (5, 4)


def looped(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    for i in pyro.plate("obs", 3):
        pyro.sample(f"x_{i}", dist.Normal(mu, 1.0), obs=x[i])


def masked(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("obs", 3), pyro.poutine.mask(mask=x > 0):
        pyro.sample("x", dist.Normal(mu, 1.0), obs=x)


def weighted(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("obs", 3), pyro.poutine.scale(scale=2.0):
        pyro.sample("x", dist.Normal(mu, 1.0), obs=x)


def factored(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    pyro.factor("penalty", -mu.square())


def parametrised(x):
    scale = pyro.param("scale", torch.tensor(1.0))
    pyro.sample("mu", dist.Normal(0.0, scale))


def discrete(x):
    with pyro.plate("obs", 3):
        z = pyro.sample("z", dist.Bernoulli(0.5))
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)


def branching(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    scale = mu.exp() if mu > 0 else 1.0 - mu
    with pyro.plate("obs", 3):
        pyro.sample("x", dist.Normal(0.0, scale), obs=x)


def detached(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("obs", 3):
        pyro.sample("x", dist.Normal(mu.detach(), 1.0), obs=x)


def random(x):
    with pyro.plate("obs", 3):
        pyro.sample("x", dist.Normal(torch.randn(()), 1.0), obs=x)


def summed(x):
    with pyro.plate("group", 4):
        theta = pyro.sample("theta", dist.Normal(0.0, 1.0))
    with pyro.plate("obs", 3):
        pyro.sample("x", dist.Normal(theta.sum(), 1.0), obs=x)


def dotted(x):
    pyro.sample("layer.weight", dist.Normal(0.0, 1.0))


def pinned(x):
    pyro.sample("mu", dist.Delta(torch.tensor(1.0)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (looped, r"site 'x_0' lies in the loop `for \.\.\. in pyro\.plate\('obs'\)`"),
        (masked, "site 'x' is masked"),
        (weighted, r"site 'x' is weighted by 2 with pyro\.poutine\.scale"),
        (factored, r"site 'penalty' is a pyro\.factor"),
        (parametrised, r"pyro\.param 'scale' is a number to optimise"),
        (discrete, "site 'z' is latent and its Bernoulli is discrete"),
        (branching, r"site 'x'.*depends on the values of \['mu'\], by `if`"),
        (detached, "site 'x': its distribution changes with values"),
        (random, "site 'x': its distribution changes with values.*random beside its sites"),
        (summed, "site 'x' uses 'theta', which lies on plate 'group', and not one row"),
        (dotted, r"site 'layer\.weight': a name must be a Python identifier"),
        (pinned, "site 'mu': its distribution Delta is none of torch"),
    ],
)
def test_what_a_template_cannot_say_is_named(model, message):
    pyro.clear_param_store()
    with pytest.raises(ValueError, match=message):
        from_pyro(model, torch.tensor([0.5, -1.0, 2.0]))


def test_reading_leaves_the_random_state_alone():
    source, arguments, *_ = counts()
    before = torch.random.get_rng_state()
    from_pyro(source, *arguments)
    assert torch.equal(torch.random.get_rng_state(), before)
