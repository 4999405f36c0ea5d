"""Calibration: passed by the exact posterior, failed by narrow, wide and shifted ones."""

from __future__ import annotations

import math

import pytest
import torch
from laws.exact_gre import SCALES, bounded, settle

import pavi
from pavi.diagnostics import Calibration, calibration
from pavi.diagnostics.calibration import inference
from pavi.diagnostics.rank_figure import band
from pavi.diagnostics.ranks import random_entries
from pavi.diagnostics.site_calibration import site_calibration
from pavi.models import gaussian_random_effects, gre_posterior

MODEL = gaussian_random_effects(dim=2, scales=SCALES)
SIZES = {"group": 4, "obs": 3}


def guide_at(width, *, shift=0.0):
    """The posterior of a data set, exact but for its widths and the place of `mu`."""
    guide = pavi.PlateAmortizedGuide(MODEL, SIZES)

    def infer(data):
        exact = gre_posterior(data.values["x"], scales=SCALES)
        settle(guide, exact)
        tables = guide.encoder._tables
        with torch.no_grad():
            for name, scale, sd in (
                ("mu", SCALES[0], exact.sd),
                ("mu_g", SCALES[1], exact.group_sd),
            ):
                tables[name][:, 2:4] = bounded(2 * math.log(scale / (width * sd)))
            tables["mu"][:, :2] += shift * exact.sd / SCALES[0]
        return pavi.Posterior(guide, data)

    return infer


def calibrated(infer, **options):
    return calibration(MODEL, infer, SIZES, **{"simulations": 200, "progress": False, **options})


def test_the_exact_posterior_is_calibrated():
    found = calibrated(guide_at(1.0))
    assert found.smallest > 0.01
    for name, site in found.sites.items():
        assert found.verdict(name) == "calibrated"
        assert site.counts.sum() == 200
        for level in (0.5, 0.9):
            # Twice two sites: three standard errors are passed once in a hundred times.
            assert abs(site.z(level)) < 3
            assert 0.005 < site.standard_error[level] < 0.05


def test_a_posterior_half_as_wide_is_not():
    found = calibrated(guide_at(0.5), simulations=100)
    assert found.smallest < 1e-6
    for name, site in found.sites.items():
        assert found.verdict(name).startswith("too narrow")
        # Of a normal, plus minus 1.645 / 2 sds hold 0.589.
        assert site.coverage[0.9] < 0.75
        assert site.counts[[0, -1]].sum() > 40  # twenty are expected
    assert float(found.sites["mu"].coverage[0.9]) == pytest.approx(0.589, abs=0.12)


def test_too_wide_and_shifted_ones_are_told_apart():
    wide = calibrated(guide_at(2.0), simulations=60)
    assert wide.verdict("mu").startswith("too wide")
    low = calibrated(guide_at(1.0, shift=-0.4), simulations=100)
    assert low.verdict("mu") == "shifted: draws are too low"
    assert low.verdict("mu") in str(low)


def test_importance_weights_make_a_wide_guide_calibrated():
    drawn = calibrated(guide_at(1.3), simulations=100)
    assert drawn.verdict("mu").startswith("too wide")
    assert drawn.khat is None
    # Of ten latents, each too wide by 1.3: weights are bounded, and 40% of the proposals count.
    picked = calibrated(guide_at(1.3), simulations=100, proposals=2000)
    assert picked.verdict("mu") == picked.verdict("mu_g") == "calibrated"
    assert picked.khat is not None
    assert picked.khat.shape == (100,)
    assert (picked.khat < 0.7).all()
    assert "importance weights; k-hat above 0.7 in 0" in str(picked)
    assert "importance" not in str(drawn)


def test_simulations_are_a_function_of_the_seed():
    few = {"simulations": 10, "bins": 2, "draws": 19}
    one, other, third = (calibrated(guide_at(1.0), seed=seed, **few) for seed in (1, 1, 2))
    assert torch.equal(one.sites["mu"].ranks, other.sites["mu"].ranks)
    assert not torch.equal(one.sites["mu"].ranks, third.sites["mu"].ranks)


def test_an_amortized_posterior_is_conditioned_on_data_sets_of_every_size():
    amortized = pavi.amortize(MODEL, {"group": (2, 4), "obs": 3}, steps=2, progress=False)
    sizes = []
    condition = amortized.condition

    class Counting:
        def condition(self, data):
            sizes.append(data.cardinalities["group"])
            return condition(data)

    found = calibration(
        MODEL,
        Counting(),
        {"group": (2, 4), "obs": 3},
        simulations=20,
        bins=4,
        draws=19,
        progress=False,
    )
    assert set(sizes) == {2, 3, 4}
    assert set(found.sites) == {"mu", "mu_g"}


def test_one_entry_of_each_simulation_is_chosen():
    ranks = [torch.arange(6).view(2, 3) + 10 * k for k in range(300)]
    chosen = random_entries(ranks, seed=0, number=0) - 10 * torch.arange(300)
    assert set(chosen.tolist()) == set(range(6))
    assert not torch.equal(random_entries(ranks, seed=0, number=1), chosen)


def test_the_p_value_is_that_of_the_chi_square_distribution():
    # All ranks in one of two bins of fifty: 50 + 50 on one degree of freedom; none off: zero.
    uniform = torch.tensor([0, 19] * 25)
    for counts, p in (((25, 25), 1.0), ((30, 20), math.erfc(math.sqrt(2.0 / 2)))):
        ranks = torch.tensor([0] * counts[0] + [19] * counts[1])
        from_ranks = of_ranks(ranks)
        assert from_ranks.counts.tolist() == list(counts)
        assert from_ranks.p_value == pytest.approx(p)
    assert of_ranks(uniform).coverage == {0.5: 0.0}


def of_ranks(ranks):
    return site_calibration(list(ranks), ranks, draws=19, bins=2, levels=(0.5,))


def test_the_band_holds_the_counts_it_says():
    low, high = band(200, 0.1)
    counts = torch.distributions.Binomial(200, torch.tensor(0.1)).sample((20_000,))
    inside = ((counts >= low) & (counts <= high)).double().mean()
    assert 0.99 - 0.003 < float(inside) < 0.998


def test_the_figure_has_a_panel_per_site():
    found = Calibration(
        {"a": of_ranks(torch.arange(20)), "b": of_ranks(torch.arange(20))}, 20, 19, (0.5,)
    )
    figure = found.figure()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["a (p = 1)", "b (p = 1)"]
    assert [bar.get_height() for bar in figure.axes[0].patches if bar.get_height() == 10]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulations": 40}, "at least 50, five for each of the 10 bins; got 40"),
        ({"draws": 200}, r"draws \+ 1 must be a multiple of the 10 bins.*got draws=200, try 209"),
        ({"draws": 9}, "level 0.5 do not fall between the ranks of draws=9"),
        ({"levels": (1.0,)}, "level 1.0 do not fall"),
        ({"bins": 1}, "bins must be an integer of at least 2, got 1"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        calibrated(guide_at(1.0), **options)


def test_what_cannot_infer_is_refused():
    # Called by itself: in the tests, and only there, types are checked before.
    with pytest.raises(ValueError, match="an AmortizedPosterior or a function .* got str"):
        inference("fit")


def test_cardinalities_must_fit_the_model():
    with pytest.raises(ValueError, match=r"cardinalities lack the plates \['obs'\]"):
        calibration(MODEL, guide_at(1.0), {"group": 3}, progress=False)


def test_proposals_need_a_posterior_that_resamples():
    class Prior:
        def sample(self, *sites, draws=1, seed=0):
            return {}

    with pytest.raises(ValueError, match=r"proposals are for posteriors that can .* got a Prior"):
        calibrated(lambda data: Prior(), proposals=500)
