"""What families owe beside their laws: starts, storage, new groups, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from core.designs import ragged_nest
from guides.families import COMPUTED, FREE, GUIDES
from torch.distributions import HalfNormal, Normal
from torch.testing import assert_close

import pavi
from pavi import Latent, Observed, Plate
from pavi.flows import ASVIFlow, BranchFlow, EncodedFlow, GaussianFlow, InstanceFlow
from pavi.guides import adavi, asvi, branch, mean_field, per_instance
from pavi.guides.dependence import Dependence, upstream_sites
from pavi.models import gaussian_random_effects

NEST = {"school": [1, 0, 1], "pupil": [2, 0, 1, 2, 1]}


def nest_data():
    arrays = {"x": torch.randn(5), "y": torch.randn(5)}
    return pavi.PlateData.from_arrays(arrays, ragged_nest(), links=NEST, dtype=torch.float64)


@pytest.mark.parametrize("family", GUIDES)
def test_a_saved_posterior_loads_again(family, tmp_path):
    data = nest_data()
    guide = GUIDES[family](data.model, data.cardinalities).double()
    posterior = pavi.fit(data.model, data, guide=guide, steps=2, progress=False)
    posterior.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", data.model, data=data)
    assert loaded.trained.config() == guide.config()
    before, after = (p.sample(draws=3) for p in (posterior, loaded))
    for name, value in before.items():
        # To rounding: loaded encodings lie in memory another way.
        assert_close(after[name], value, rtol=1e-12, atol=1e-12)
    assert loaded.elbo(draws=4).mean == pytest.approx(posterior.elbo(draws=4).mean, rel=1e-12)


@pytest.mark.parametrize("family", COMPUTED)
def test_an_amortized_posterior_of_a_data_set_is_saved_like_any_other(family, tmp_path):
    model = gaussian_random_effects()
    sizes = {"group": 3, "obs": 2}
    amortized = pavi.amortize(
        model, sizes, guide=COMPUTED[family], datasets=2, steps=2, progress=False
    )
    data = pavi.PlateData.from_arrays(model.simulate(sizes, seed=5).arrays, model)
    posterior = amortized.condition(data)
    posterior.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", model, data=data)
    for name, value in posterior.sample(draws=3).items():
        assert_close(loaded.sample(draws=3)[name], value)


@pytest.mark.parametrize("family", FREE)
def test_free_families_start_where_they_are_told(family):
    model = pavi.HierarchicalModel(
        [Plate("group")],
        {
            "width": Latent(lambda: HalfNormal(2.0), init=0.25),
            "centre": Latent(lambda: Normal(1.0, 1.5), "group", init=[1.0, 2.0]),
            "y": Observed(lambda centre: Normal(centre, 3.0), "group"),
        },
    )
    data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model, dtype=torch.float64)
    guide = FREE[family](model, data.cardinalities).double()
    guide.initialise(data.batch())
    values = guide(data.batch(), draws=1, noise=0.0).values
    assert_close(values["width"][0], torch.tensor(0.25).double(), rtol=0.02, atol=0)
    assert_close(values["centre"][0], torch.tensor([1.0, 2.0]).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("family", [mean_field, per_instance, asvi])
def test_new_groups_are_fitted_and_known_ones_kept(family):
    model = gaussian_random_effects()
    x = torch.randn(4, 3, 2)
    labels = {"group": ["a", "b", "c", "d"]}
    old = pavi.PlateData.from_arrays({"x": x[:3]}, model, labels={"group": labels["group"][:3]})
    guide = family(model, old.cardinalities)
    posterior = pavi.fit(model, old, guide=guide, steps=3, progress=False)
    new = pavi.PlateData.from_arrays({"x": x}, model, labels=labels)
    extended = posterior.extend(new, steps=3).guide.encoder.table("mu_g")
    assert torch.equal(extended[:3], guide.encoder.table("mu_g"))
    assert extended[3].any()


def test_without_dependence_a_flow_sees_no_values_and_the_prior_follows_the_parents():
    model = ragged_nest()
    assert set(upstream_sites(model, Dependence.NONE).values()) == {()}
    data = nest_data()
    guide = asvi(model, data.cardinalities, start=0.9).double()
    with torch.no_grad():
        values = guide(data.batch(), draws=64).values
    assert float(torch.corrcoef(torch.stack([values["mu"], values["a"][:, 0]]))[0, 1]) > 0.5


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda model, sizes: pavi.PlateAmortizedGuide(
                model, sizes, flow=GaussianFlow(), encodings=pavi.DeepSetEncodings()
            ),
            r"flows of sites \['mu', 'mu_g'\] hold .* must be free: FreeEncodings\(\). Got DeepSet",
        ),
        (
            lambda model, sizes: per_instance(model, sizes, flow=GaussianFlow()),
            r"GaussianFlow\(full=False\) is a flow of each row by itself",
        ),
        (lambda model, sizes: InstanceFlow(BranchFlow()), "needs one; got one of length 0"),
        (lambda model, sizes: InstanceFlow(InstanceFlow()), "is a flow of each row by itself"),
        (lambda model, sizes: asvi(model, sizes, start=1.0), "between 0 and 1, .* got 1.0"),
        (lambda model, sizes: ASVIFlow(start=0.0), "between 0 and 1, .* got 0.0"),
        (lambda model, sizes: branch(model, sizes, hidden=0), "hidden of a branch .* got 0"),
        (
            lambda model, sizes: BranchFlow(hidden=-1),
            "hidden of a branch must be positive, got -1",
        ),
        (lambda model, sizes: adavi(model, sizes, hidden=(8, 0)), r"positive, got 16, 1 and \(8,"),
        (lambda model, sizes: EncodedFlow(transforms=0), "must be positive, got 16, 0 and"),
        (
            lambda model, sizes: per_instance(model, sizes, dependence="all"),
            r"dependence must be one of \['parents', 'faithful', 'none'\], got 'all'",
        ),
        (
            lambda model, sizes: pavi.amortize(
                model, sizes, guide=adavi, flow=GaussianFlow(), dependence="none"
            ),
            r"guide is given together with \['flow', 'dependence'\], which the guide decides",
        ),
    ],
)
def test_what_does_not_fit_is_told(build, message):
    with pytest.raises(ValueError, match=message):
        build(gaussian_random_effects(), {"group": 3, "obs": 2})
