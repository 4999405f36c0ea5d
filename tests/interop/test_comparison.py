"""A fit beside a reference."""

from __future__ import annotations

import re

import pytest
import torch
from torch.distributions import HalfNormal, LKJCholesky, Normal

import pavi
from pavi import Latent, Observed, Plate, PlateData
from pavi.interop import Comparison, Moments, ReferencePosterior, compare
from pavi.interop.comparison import GlobalRow
from pavi.interop.reference import format_r_hat


@pytest.fixture(scope="module")
def posterior() -> pavi.Posterior:
    model = pavi.HierarchicalModel(
        plates=[Plate("group")],
        sites={
            "mu": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,)),
            "tau": Latent(lambda: HalfNormal(1.0)),
            "corr": Latent(lambda: LKJCholesky(2, 2.0), event_shape=(2, 2)),
            "b": Latent(lambda tau: Normal(0.0, tau), plates="group"),
            "y": Observed(lambda b, mu: Normal(b + mu[..., 0], 1.0), plates="group"),
        },
    )
    data = PlateData.from_arrays({"y": [0.5, -1.0, 2.0]}, model)
    return pavi.fit(model, data, steps=2, progress=False)


def moments(posterior) -> Moments:
    summary = posterior.summary(draws=500, seed=1)
    return Moments(summary.mean, summary.sd)


def test_a_fit_agrees_with_itself(posterior):
    found = compare(posterior, moments(posterior), draws=500, seed=1)
    assert {name: row.z for name, row in found.globals.items()} == dict.fromkeys(
        ["mu[0]", "mu[1]", "tau", "corr[1, 0]", "corr[1, 1]"], 0.0
    )
    assert {row.sd_ratio for row in found.globals.values()} == {1.0}
    assert (found.plates["b"].values, found.plates["b"].rms_z) == (3, 0.0)
    assert found.agrees()
    assert "mu[0]" in str(found)


def test_distances_are_in_sds_of_the_reference(posterior):
    true = moments(posterior)
    mean = {**true.mean, "tau": true.mean["tau"] - 2 * true.sd["tau"] / 4}
    sd = {**true.sd, "tau": true.sd["tau"] / 4}
    found = compare(posterior, Moments(mean, sd), draws=500, seed=1)
    assert found.globals["tau"].z == pytest.approx(2.0, rel=1e-4)
    assert found.globals["tau"].sd_ratio == pytest.approx(4.0, rel=1e-4)
    assert not found.agrees()


@pytest.mark.parametrize(
    ("mean", "sd", "agrees"), [(0.29, 1.19, True), (0.31, 1.0, False), (0.0, 0.79, False)]
)
def test_the_bounds_are_those_of_the_question(mean, sd, agrees):
    row = GlobalRow(mean=mean, sd=sd, reference_mean=0.0, reference_sd=1.0)
    assert Comparison({"mu": row}, {}).agrees() is agrees


def test_a_reference_may_lack_sites(posterior):
    true = moments(posterior)
    found = compare(posterior, Moments({"tau": true.mean["tau"]}, {"tau": true.sd["tau"]}))
    assert list(found.globals) == ["tau"]
    assert not found.plates


def test_a_site_the_model_lacks_is_named(posterior):
    one = torch.ones(())
    with pytest.raises(ValueError, match=r"the site 'sigma', which is not a latent site"):
        compare(posterior, Moments({"sigma": one}, {"sigma": one}))


def test_other_data_are_refused(posterior):
    four = torch.ones(4)
    with pytest.raises(ValueError, match=r"site 'b' has shape \(4,\) in the reference and \(3,\)"):
        compare(posterior, Moments({"b": four}, {"b": four}))


@pytest.mark.parametrize(
    ("r_hat", "text"),
    [(1.0, "1.00"), (1.0096, "1.01"), (1.01, "1.01"), (1.0152, "1.02"), (1.0123, "1.012"),
     (1.01003, "1.01003"), (2.5, "2.50"), (float("inf"), "inf")],
)  # fmt: skip
def test_an_r_hat_has_the_digits_that_tell_its_side_of_the_bound(r_hat, text):
    assert format_r_hat(r_hat) == text


@pytest.mark.parametrize(
    ("r_hat", "divergences", "doubt"),
    [
        (1.0099, 0, None),
        (1.0101, 0, "largest R-hat 1.0101, which should not exceed 1.01\\)"),
        (1.83412, 0, "largest R-hat 1.83, which"),
        (torch.nan, 0, "largest R-hat nan, which"),
        (1.0, 3, "3 divergent transitions"),
    ],
)
def test_a_comparison_says_whether_its_reference_is_one(posterior, r_hat, divergences, doubt):
    drawn = posterior.sample(draws=50, seed=1)
    reference = ReferencePosterior(
        draws={"mu": drawn["mu"].double().unflatten(0, (2, 25))},
        r_hat={"mu": torch.full((2,), r_hat)},
        ess={"mu": torch.full((2,), 400.0)},
        divergences=divergences,
        gradients=0,
        seconds=1.0,
        compile_seconds=0.0,
    )
    found = compare(posterior, reference, draws=50, seed=1)
    if doubt is None:
        assert found.doubt is None
        assert "not converged" not in str(found)
        return
    assert re.search(doubt, found.doubt)
    # The table of the sites shows as many digits as the caption.
    assert f" {format_r_hat(r_hat)} " in str(reference)
    for told in (str(found), str(reference)):
        assert "has not converged" in " ".join(told.split())
