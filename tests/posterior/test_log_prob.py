"""The density of given values, against the evidence and against the guide on all rows at once."""

from __future__ import annotations

import pytest
import torch
from laws.exact_gre import random_effects, settle
from posterior.narrow import DESIGNS, narrow_posterior
from torch.distributions import Normal
from torch.testing import assert_close

import pavi
from pavi.guides import UIVIGuide


@pytest.fixture(scope="module")
def exact():
    model, data, guide, answer = random_effects(groups=5)
    settle(guide, answer)
    return pavi.Posterior(guide, data), answer


@pytest.mark.parametrize("budget", [2**24, 1])
def test_joint_over_density_is_the_evidence_at_any_values(exact, budget):
    posterior, answer = exact
    values = {"mu": torch.randn(7, 2), "mu_g": torch.randn(7, 5, 2)}
    batch = posterior.data.batch()
    doubles = {site: value.double() for site, value in values.items()}
    factors = posterior.model.log_factors(doubles, batch).values()
    joint = sum(factor.reshape(7, -1).sum(1) for factor in factors)
    found = joint - posterior.log_prob(values, budget=budget)
    # The soft bound of the guide's scale is inverted to single precision of its logarithm.
    assert_close(found, torch.full_like(found, answer.log_evidence), rtol=0, atol=1e-6)


@pytest.mark.parametrize("design", DESIGNS)
@pytest.mark.parametrize("budget", [2**24, 1])
def test_sites_and_chunks_add_up(design, budget):
    posterior = narrow_posterior(design)
    with torch.no_grad():
        for parameter in posterior.guide.parameters():
            parameter.normal_(0.0, 0.3)
    values = posterior.sample(draws=4, seed=3)
    with torch.no_grad():
        rows = posterior.guide.log_prob(values, posterior.data.batch())
    terms = posterior.log_prob(values, by_site=True, budget=budget)
    for site, factor in rows.items():
        assert_close(terms[site], factor.reshape(4, -1).sum(1))
    assert_close(posterior.log_prob(values, budget=budget), sum(terms.values()))


def test_values_may_be_arrays(exact):
    posterior, _ = exact
    values = posterior.sample(draws=3)
    arrays = {site: value.numpy() for site, value in values.items()}
    assert torch.equal(posterior.log_prob(arrays), posterior.log_prob(values))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mu": None}, r"values of \['mu'\] are missing; .* all latent sites \['mu', 'mu_g'\], got "
         r"\['mu_g'\]"),
        ({"tau": torch.ones(3)}, r"\['tau'\] are no latent sites .* is of \['mu', 'mu_g'\] alone"),
        ({"mu_g": torch.zeros(3, 4, 2)},
         r"values of 'mu_g' have the shape \(3, 4, 2\); expected \(3 draws as in 'mu', "
         r"5 rows of 'group', 2\)"),
        ({"mu_g": torch.zeros(2, 5, 2)}, r"shape \(2, 5, 2\); expected \(3 draws as in 'mu', 5 r"),
        ({"mu": torch.zeros(2)}, r"values of 'mu' have the shape \(2,\); expected \(draws, 2\)"),
        ({"mu": torch.zeros(3, 4)}, r"'mu' have the shape \(3, 4\); expected \(draws, 2\)"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(exact, change, message):
    posterior, _ = exact
    values = {"mu": torch.zeros(3, 2), "mu_g": torch.zeros(3, 5, 2)} | change
    with pytest.raises(ValueError, match=message):
        posterior.log_prob({site: value for site, value in values.items() if value is not None})


def test_a_value_outside_of_its_support_is_named():
    posterior = narrow_posterior("ragged nest")
    values = posterior.sample(draws=3)
    values["tau"][1] = -1.0
    with pytest.raises(
        ValueError, match=r"values of 'tau': 1 of 3 draws have no density; .*GreaterThan"
    ):
        posterior.log_prob(values)


def test_a_guide_without_a_density_says_so():
    model = pavi.HierarchicalModel(
        [pavi.Plate("g")],
        {
            "m": pavi.Latent(lambda: Normal(0.0, 1.0)),
            "y": pavi.Observed(lambda m: Normal(m, 1.0), "g"),
        },
    )
    data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model)
    posterior = pavi.Posterior(UIVIGuide(model, data.cardinalities), data)
    with pytest.raises(ValueError, match="density of a UIVIGuide is not tractable"):
        posterior.log_prob({"m": torch.zeros(3)})
