"""The closed forms by which peers are measured: against exact evidences, and draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.peers.bounds import Chem97Bound, GREBound, HVBound, read_bound
from experiments.problems import chem97
from pavi import PlateData
from pavi.models import gaussian_random_effects, gre_posterior, hierarchical_variance

DRAWS = 4000


def nested():
    """A small set of pupils in schools in authorities."""
    model = chem97.model()
    rng = np.random.default_rng(0)
    lea, school = np.array([0, 1, 1, 2]), np.array([0, 0, 1, 1, 1, 2, 3, 3])
    arrays = {"gcse": rng.normal(size=8), "score": rng.normal(5.0, 2.0, size=8)}
    links = {"school": lea, "pupil": school}
    data = PlateData.from_arrays(arrays, model, links=links, dtype=torch.float64)
    return model, data, Chem97Bound(arrays["gcse"], arrays["score"], school, lea)


def groups(template, bound):
    """Three groups of four observations."""
    model = template()
    x = model.simulate({"group": 3, "obs": 4}, seed=1).arrays["x"]
    data = PlateData.from_arrays({"x": x}, model, dtype=torch.float64)
    return model, data, bound(x.numpy())


CASES = {
    "gre": lambda: groups(gaussian_random_effects, GREBound),
    "hv": lambda: groups(hierarchical_variance, HVBound),
    "chem97": nested,
}


def gaussians(model, data, rng):
    """Any Gaussians of the right shapes, of the logarithm where a value is positive."""
    found = {}
    for name in model.latents:
        site = model.sites[name]
        shape = (*(data.cardinalities[plate] for plate in site.plates), *site.event_shape)
        found[name] = (rng.normal(size=shape), rng.uniform(0.1, 0.4, size=shape))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_bound_is_the_mean_of_its_draws(name):
    model, data, bound = CASES[name]()
    rng = np.random.default_rng(2)
    q = gaussians(model, data, rng)
    assert bound.size == model.num_latents(data.cardinalities)
    values, total = {}, torch.zeros(DRAWS, dtype=torch.float64)
    for site, (mean, sd) in q.items():
        noise = rng.normal(size=(DRAWS, *np.shape(mean)))
        free = torch.as_tensor(mean + sd * noise)
        positive = site in ("tau_lea", "tau_school", "sigma")
        values[site] = free.exp() if positive else free
        density = torch.distributions.Normal(torch.as_tensor(mean), torch.as_tensor(sd))
        terms = (free if positive else 0.0) - density.log_prob(free)
        total += terms.reshape(DRAWS, -1).sum(1)
    for site in (*model.latents, *model.observed):
        factor = model.log_factor(site, values, data.batch(), draws=DRAWS)
        total += factor.expand(DRAWS, *factor.shape[1:]).reshape(DRAWS, -1).sum(1)
    # A mean over independent draws.
    error = float(total.std()) / DRAWS**0.5
    assert bound(q) == pytest.approx(float(total.mean()), abs=5 * error)


def test_the_best_independent_gaussians_lose_what_is_known():
    x = gaussian_random_effects().simulate({"group": 5, "obs": 7}, seed=3).arrays["x"]
    exact = gre_posterior(x)
    slope, sd = exact.group_slope, exact.group_sd
    mean_g = exact.group_data + slope * exact.mean
    sd_mu = (exact.sd**-2 + 5 * slope**2 / sd**2) ** -0.5
    q = {
        "mu": (exact.mean.numpy(), np.full(2, sd_mu)),
        "mu_g": (mean_g.numpy(), np.full((5, 2), sd)),
    }
    # These have the means of the posterior and the precisions of its conditionals, so that what is
    # lost is half the log ratio of its determinant and theirs: one for each of two dimensions.
    lost = 2 * np.log(exact.sd / sd_mu)
    assert GREBound(x.numpy())(q) == pytest.approx(exact.log_evidence - lost, abs=1e-9)


def test_other_sites_are_refused():
    _, _, bound = groups(hierarchical_variance, HVBound)
    with pytest.raises(ValueError, match=r"each of \['log_s', .* is needed; got \['mu'\]"):
        bound({"mu": (0.0, 1.0)})


def test_data_of_another_problem_are_refused(tmp_path):
    np.savez(tmp_path / "gm.npz", problem="gm", log_evidence=0.0)
    with pytest.raises(ValueError, match=r"holds 'gm'; bounds are known of \['chem97'"):
        read_bound(str(tmp_path / "gm.npz"))
