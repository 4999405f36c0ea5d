"""Between-group checks: replicates with new groups, and what they tell of wrong populations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import HalfNormal, Normal

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate, PlateData
from pavi.posterior.report.between_groups import _statistics, group_checks
from pavi.posterior.report.predictive import predictive_checks
from pavi.posterior.report.predictive_section import predictive_section

GROUPS, SIZE = 60, 20
LIKE = "In these statistics the data are like the replicates."


def model_of(tau=None):
    """Groups of a spread that is fitted, or fixed where it is given."""
    scale = {} if tau else {"tau": Latent(lambda: HalfNormal(2.0))}
    effect = (lambda mu: Normal(mu, tau)) if tau else (lambda mu, tau: Normal(mu, tau))
    return HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "mu": Latent(lambda: Normal(0.0, 3.0)),
            **scale,
            "b": Latent(effect, "group"),
            "y": Observed(lambda b: Normal(b, 1.0), "obs"),
        },
    )


def fitted(model, y, groups, *, steps=300, **options):
    data = PlateData.from_arrays({"y": y}, model, links={"obs": {"group": groups}}, **options)
    return pavi.fit(model, data, steps=steps, progress=False)


def simulated(effects, *, seed=0):
    draw = np.random.default_rng(seed)
    groups = np.arange(len(effects) * SIZE) % len(effects)
    return effects[groups] + draw.normal(size=len(groups)), groups


def by_name(check):
    return dict(zip(("spread", "outside"), check.statistics, strict=True))


def test_groups_of_the_population_are_like_new_ones():
    effects = np.random.default_rng(1).normal(size=GROUPS)
    posterior = fitted(model_of(), *simulated(effects))
    (check,) = group_checks(posterior, draws=200, seed=0)
    assert (check.site, check.plate) == ("y", "group")
    found = by_name(check)
    y, groups = simulated(effects)
    means = np.array([y[groups == g].mean() for g in range(GROUPS)])
    assert found["spread"].measured == pytest.approx(means.std(), rel=1e-5)
    # A tenth by construction of the intervals.
    assert found["outside"].replicated.mean() == pytest.approx(0.1, abs=0.01)
    checks = predictive_checks(posterior, draws=200, seed=0)
    assert predictive_section(checks, [check]).blocks[-1] == LIKE


def test_a_population_of_the_wrong_spread_is_told():
    effects = np.random.default_rng(1).normal(size=GROUPS)
    posterior = fitted(model_of(tau=0.33), *simulated(effects))
    (check,) = group_checks(posterior, draws=200, seed=0)
    assert [statistic.tail for statistic in check.statistics] == [0.0, 0.0]
    checks = predictive_checks(posterior, draws=200, seed=0)
    told = predictive_section(checks, [check]).blocks[-1]
    assert "the standard deviation of group means of y" in told
    assert "the share of group means outside 90% of new ones of y" in told


def test_outlying_groups_are_told_by_their_share():
    """Two kinds of groups, at two sd: the spread is fitted, but hardly any group is near zero."""
    effects = np.where(np.arange(GROUPS) % 10 == 0, 6.0, 0.1) * np.random.default_rng(2).choice(
        [-1.0, 1.0], size=GROUPS
    )
    posterior = fitted(model_of(), *simulated(effects))
    found = by_name(group_checks(posterior, draws=200, seed=0)[0])
    # Six of sixty lie at three sd of what was fitted.
    assert 0.01 < found["spread"].tail < 0.99
    assert found["outside"].measured == pytest.approx(0.1)


def test_parts_have_the_groups_of_the_whole():
    """Values are spread over groups in several parts; the measured side does not depend on it."""
    posterior = fitted(model_of(), *simulated(np.linspace(-1, 1, 12)), steps=2)
    (whole,) = group_checks(posterior, draws=20, seed=0)
    (parts,) = group_checks(posterior, draws=20, seed=0, budget=20 * 50)
    one, two = by_name(whole), by_name(parts)
    assert two["spread"].measured == pytest.approx(one["spread"].measured, rel=1e-6)
    assert one["spread"].replicated.mean() == pytest.approx(
        two["spread"].replicated.mean(), rel=0.5
    )


def test_of_many_groups_evenly_spread_ones_are_looked_at():
    posterior = fitted(model_of(), *simulated(np.linspace(-1, 1, 12)), steps=2)
    y, groups = simulated(np.linspace(-1, 1, 12))
    (check,) = group_checks(posterior, draws=20, seed=0, budget=20 * 4)
    means = [y[groups == g].mean() for g in (0, 3, 7, 11)]
    assert by_name(check)["spread"].measured == pytest.approx(np.std(means), rel=1e-5)


def test_missing_values_take_no_part_and_neither_do_empty_groups():
    y, groups = simulated(np.linspace(-1, 1, 6))
    y[(groups == 2) | (np.arange(len(y)) == 0)] = np.nan
    posterior = fitted(model_of(), y, groups, steps=2, missing="ignore")
    (check,) = group_checks(posterior, draws=20, seed=0)
    means = [np.nanmean(y[groups == g]) for g in range(6) if g != 2]
    assert by_name(check)["spread"].measured == pytest.approx(np.std(means), rel=1e-5)


def test_crossed_groups_are_the_same_in_all_parts():
    """One plate is split, and rows of the other, shared by the parts, keep their new effects."""
    model = HierarchicalModel(
        [Plate("student"), Plate("teacher"), Plate("rating", within=("student", "teacher"))],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "student"),
            "b": Latent(lambda: Normal(0.0, 1.0), "teacher"),
            "y": Observed(lambda a, b: Normal(a + b, 0.1), "rating"),
        },
    )
    draw = np.random.default_rng(0)
    links = {"rating": {"student": np.arange(400) % 40, "teacher": draw.integers(5, size=400)}}
    data = PlateData.from_arrays({"y": draw.normal(size=400)}, model, links=links)
    posterior = pavi.fit(model, data, steps=2, progress=False)
    whole = group_checks(posterior, draws=300, seed=0)
    parts = group_checks(posterior, draws=300, seed=0, budget=300 * 60)
    assert [check.plate for check in parts] == ["student", "teacher"]
    # Were the effects of teachers drawn part by part, their means would average over these.
    for one, two in zip(whole, parts, strict=True):
        assert by_name(two)["spread"].replicated.mean() == pytest.approx(
            by_name(one)["spread"].replicated.mean(), rel=0.1
        )


def test_a_plate_without_latents_or_with_a_value_a_row_has_no_check():
    model = HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "b": Latent(lambda mu: Normal(mu, 1.0), "obs"),
            "y": Observed(lambda b: Normal(b, 1.0), "obs"),
        },
    )
    posterior = fitted(model, torch.zeros(8), np.arange(8) % 2, steps=1)
    assert group_checks(posterior, draws=5, seed=0) == []


def test_the_statistics_are_those_of_their_definition():
    replicated = np.linspace(0.0, 1.0, 101)[:, None] * np.array([1.0, 2.0])
    spread, outside = _statistics("g", np.array([0.5, 1.95]), replicated)
    assert spread.measured == pytest.approx(0.725)
    assert outside.measured == 0.5  # 0.5 lies in [0.05, 0.95], 1.95 not in [0.1, 1.9]
    assert outside.replicated.mean() == pytest.approx(10 / 101)
