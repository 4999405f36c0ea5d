"""Densities of a model against loops over its ground variables."""

from __future__ import annotations

import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import HalfNormal, Normal
from torch.testing import assert_close

from pavi.core.batch import whole

DRAWS = 3


def ground(model, sizes, links):
    """Random values of every site, and the batch of all rows that holds the measured ones."""
    like = torch.zeros((), dtype=torch.float64)
    shapes = {n: [*(sizes[p] for p in s.plates), *s.event_shape] for n, s in model.sites.items()}
    measured = {n: torch.rand(shapes[n], dtype=like.dtype) for n in model.covariates}
    measured |= {n: torch.rand(shapes[n], dtype=like.dtype) for n in model.observed}
    latent = {n: torch.rand(DRAWS, *shapes[n], dtype=like.dtype) for n in model.latents}
    return latent, whole(sizes, links, measured, like=like)


def log_prob(distribution, value):
    return distribution.log_prob(torch.as_tensor(value, dtype=torch.float64))


def test_ragged_nest_of_three_levels():
    lea, school = torch.tensor([1, 0, 1]), torch.tensor([2, 0, 0, 1, 2])
    links = {"school": {"lea": lea}, "pupil": {"school": school}}
    values, batch = ground(ragged_nest(), {"lea": 2, "school": 3, "pupil": 5}, links)
    factors = ragged_nest().log_factors(values, batch)
    mu, tau, a, b = (values[name] for name in ("mu", "tau", "a", "b"))
    x, y = batch.values["x"], batch.values["y"]
    for k in range(DRAWS):
        assert_close(factors["mu"][k], log_prob(Normal(1.0, 2.0), mu[k]))
        assert_close(factors["tau"][k], log_prob(HalfNormal(2.0), tau[k]))
        for i in range(2):
            assert_close(factors["a"][k, i], log_prob(Normal(mu[k], 1.5), a[k, i]))
        for j in range(3):
            assert_close(factors["b"][k, j], log_prob(Normal(a[k, lea[j]], tau[k]), b[k, j]))
        for n in range(5):
            j = school[n]
            likelihood = Normal(b[k, j] + 0.1 * a[k, lea[j]] * x[n], 0.5)
            assert_close(factors["y"][k, n], log_prob(likelihood, y[n]))
    assert {name: tuple(factor.shape[1:]) for name, factor in factors.items()} == {
        "mu": (), "tau": (), "a": (2,), "b": (3,), "y": (5,)
    }  # fmt: skip


def test_sparse_crossing():
    student, lecturer = torch.tensor([2, 0, 1, 2]), torch.tensor([0, 0, 1, 1])
    links = {"rating": {"student": student, "lecturer": lecturer}}
    values, batch = ground(sparse_crossing(), {"student": 3, "lecturer": 2, "rating": 4}, links)
    factors = sparse_crossing().log_factors(values, batch)
    mu, tau, s, l = (values[name] for name in ("mu", "tau", "s", "l"))
    for k in range(DRAWS):
        for i in range(3):
            assert_close(factors["s"][k, i], log_prob(Normal(0.0, tau[k]), s[k, i]))
        for j in range(2):
            assert_close(factors["l"][k, j], log_prob(Normal(mu[k], 1.0), l[k, j]))
        for n in range(4):
            likelihood = Normal(s[k, student[n]] + l[k, lecturer[n]], 0.3 + tau[k])
            assert_close(factors["y"][k, n], log_prob(likelihood, batch.values["y"][n]))


def test_conditional_of_a_vector_on_a_dense_crossing():
    model, sizes = dense_crossing(), {"subject": 2, "session": 3, "vertex": 4}
    values, batch = ground(model, sizes, {})
    likelihood = model.conditional("y", values, batch, draws=DRAWS)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((DRAWS, 2, 3, 4), (2,))
    c, k = values["c"].unsqueeze(2), values["k"][:, None, None, :, None]
    assert_close(likelihood.mean, c.expand(likelihood.mean.shape))
    assert_close(likelihood.stddev, (1 + k).expand(likelihood.stddev.shape))
    factors = model.log_factors(values, batch)
    assert_close(factors["y"], Normal(c, 1 + k).log_prob(batch.values["y"]).sum(-1))
    assert_close(factors["mu"], log_prob(Normal(0.0, 1.0), values["mu"]).sum(-1))


def test_a_constant_prior_takes_the_type_of_the_batch():
    model = ragged_nest()
    for dtype in (torch.float32, torch.float64):
        batch = whole(
            {"lea": 1, "school": 1, "pupil": 1}, {}, {}, like=torch.zeros((), dtype=dtype)
        )
        assert model.conditional("mu", {}, batch, draws=2).sample().dtype == dtype
