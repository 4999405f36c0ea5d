"""Verdicts on posteriors that are known to be good or bad."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from laws.exact_gre import SCALES, bounded, random_effects, settle

import pavi
from pavi.cli.parser import build_parser
from pavi.cli.remedies import CommandRemedies
from pavi.diagnostics import DRAWS, Grade, PythonRemedies, affordable_draws, check
from pavi.diagnostics.blame import sites_to_blame
from pavi.diagnostics.course import course
from pavi.diagnostics.tails import GlobalTail, LevelTails
from pavi.guides import CascadingFlowsGuide, TotalFlowGuide

COURSE = "course of the fit (none was kept, or under 200 steps of it)"
FACTOR = 0.5  # by how much the shrunken posterior is too narrow


def exact_posterior(groups=12, labels=None):
    _, data, guide, exact = random_effects(groups=groups)
    settle(guide, exact)
    if labels:
        data = dataclasses.replace(data, labels=labels)
    return pavi.Posterior(guide, data), exact


def shrink(posterior, exact, *, rows=slice(None)):
    """All widths, or those of some groups alone, times one half."""
    tables = posterior.trained.encoder._tables
    with torch.no_grad():
        tables["mu_g"][rows, 2:4] = bounded(2 * math.log(SCALES[1] / (FACTOR * exact.group_sd)))
        if rows == slice(None):
            tables["mu"][:, 2:4] = bounded(2 * math.log(SCALES[0] / (FACTOR * exact.sd)))


def finding(diagnosis, start):
    (found,) = [f for f in diagnosis.findings if f.check.startswith(start)]
    return found


def test_the_exact_posterior_is_trusted():
    posterior, exact = exact_posterior()
    found = posterior.check(draws=500)
    assert found.trusted
    assert found.warning is None
    assert found.advice == ()
    assert found.verdict == (
        f"No check failed, but so few draws may miss what far tails are like. Not judged: {COURSE}. "
        "Judged by 500 draws."
    )
    more = dataclasses.replace(found, draws=DRAWS).verdict
    assert more.startswith("This posterior can be trusted: no check failed. Not judged: ")
    assert found.elbo.mean == pytest.approx(exact.log_evidence, rel=1e-6)
    # No tail: all weights are equal.
    assert found.globals.khat == -math.inf
    assert found.globals.effective_sample_size == pytest.approx(500)
    assert (found.levels[0].khat == -math.inf).all()
    assert finding(found, "k-hat of the globals").verdict == "exact: all weights are equal"
    assert finding(found, "k-hat by group").grade is Grade.GOOD


def test_a_posterior_half_as_wide_is_not():
    posterior, exact = exact_posterior()
    shrink(posterior, exact)
    found = posterior.check(draws=1000)
    assert not found.trusted
    # In two dimensions the weights of a row are Pareto with k = 3/4; the estimate of each row has
    # an error of 0.25, their mean over twelve one of 0.07, and the prior draws it to one half.
    assert float(found.levels[0].khat.mean()) == pytest.approx(0.7, abs=0.2)
    assert found.levels[0].share > 0.2
    assert finding(found, "k-hat by group").grade is Grade.POOR
    # Globals: k = 3/4 of their own, with the noise of twelve groups on top.
    assert finding(found, "k-hat of the globals").grade is Grade.POOR
    assert found.warning.startswith("Do not trust this posterior yet: k-hat of the globals: mu;")
    assert any("check(inner=)" in line for line in found.advice)
    assert any("another flow" in line for line in found.advice)
    assert found.verdict == f"{found.warning} Not judged: {COURSE}. Judged by 1,000 draws."
    assert found.verdict in str(found).replace("\n", " ")


def test_a_group_that_is_off_is_named():
    labels = {"group": [f"clinic {chr(65 + i)}" for i in range(12)]}
    posterior, exact = exact_posterior(labels=labels)
    with torch.no_grad():
        posterior.trained.encoder._tables["mu_g"][7, :2] += 3.0
    shrink(posterior, exact, rows=[7])
    found = posterior.check(draws=500, inner=32)
    assert found.levels[0].khat.argmax() == 7
    assert "group clinic H" in finding(found, "k-hat by group").verdict
    assert "group clinic A" not in finding(found, "k-hat by group").verdict


def test_the_parts_in_which_data_are_read_change_the_noise_only():
    posterior, _ = exact_posterior()
    wide, narrow = (
        check(posterior.guide, posterior.data, draws=500, budget=b) for b in (2**24, 20_000)
    )
    assert wide.globals.khat == narrow.globals.khat == -math.inf
    assert wide.levels[0].khat.shape == narrow.levels[0].khat.shape == (12,)


@pytest.mark.parametrize("guide", [TotalFlowGuide, CascadingFlowsGuide])
def test_guides_that_draw_all_at_once_are_judged_jointly(guide):
    _, data, _, _ = random_effects(groups=3)
    found = pavi.Posterior(guide(data.model, data.cardinalities).double(), data).check(draws=250)
    assert found.levels == ()
    assert found.globals.sites == ("mu", "mu_g")
    assert found.bound == guide.bound
    assert finding(found, "k-hat of all latents jointly")


def test_crossed_rows_have_no_verdict_of_their_own():
    model = pavi.models.linear_mixed_model(["student", "lecturer"])
    sizes = {"student": 8, "lecturer": 3, "obs": 20}
    sim = model.simulate(sizes, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model, links=sim.links)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities)
    found = pavi.Posterior(guide, data).check(draws=200)
    lecturers, students = found.levels
    assert lecturers.plates == ("lecturer",)
    assert lecturers.khat is None
    assert students.khat.shape == (8,)
    assert finding(found, "k-hat by lecturer").grade is Grade.UNKNOWN
    assert "data tie these rows together" in finding(found, "k-hat by lecturer").verdict
    assert finding(found, "course").grade is Grade.UNKNOWN


def test_the_site_whose_tail_is_missed_is_named():
    one, other = torch.randn(2, 2000)
    for log_weights in (-one, 0.5 * one.square()):
        assert sites_to_blame({"a": one, "b": other.unsqueeze(-1)}, log_weights) == ("a",)
    assert sites_to_blame({"a": one, "b": other}, torch.randn(2000)) == ()


def test_shrunken_globals_are_named_and_given_splines():
    posterior, exact = exact_posterior()
    tables = posterior.trained.encoder._tables
    with torch.no_grad():
        # A fifth of the width: k is 0.96, with an error of 0.14.
        tables["mu"][:, 2:4] = bounded(2 * math.log(SCALES[0] / (0.2 * exact.sd)))
    found = posterior.check(draws=4000)
    assert found.globals.grade is Grade.POOR
    assert not found.globals.noisy
    assert found.globals.blamed == ("mu",)
    assert finding(found, "k-hat of the globals").verdict.endswith("in the tails of mu")
    assert 'flows={"mu": pavi.NSFFlow()}' in found.advice[0]


def history(elbo):
    return {"steps": [10 * (1 + i) for i in range(len(elbo))], "elbo": elbo.tolist()}


@pytest.mark.parametrize(
    ("slope", "noise", "state"),
    [
        (0.0, 1.0, "plateau"),
        (5e-3, 0.3, "plateau"),  # a tenth of a nat
        (1.0, 1.0, "rising"),
        (-1.0, 1.0, "falling"),
        (1.0, 400.0, "hidden"),
    ],
)
def test_the_end_of_the_course_is_read(slope, noise, state):
    entries = torch.arange(200.0)
    end = course(history(slope * entries + noise * torch.randn(200)), latents=100)
    found = [name for name in ("rising", "falling", "hidden") if getattr(end, name)]
    assert (found or ["plateau"]) == [state]
    assert end.steps == 390


def test_a_rise_that_does_not_matter_in_a_large_model_is_a_plateau():
    elbo = history(0.1 * torch.arange(200.0))
    assert course(elbo, latents=10).rising
    assert not course(elbo, latents=10_000).rising


def test_a_short_course_says_nothing():
    assert course(history(torch.arange(19.0)), latents=1) is None
    assert course({}, latents=1) is None


def test_a_fit_that_was_cut_short_is_told():
    posterior, _ = exact_posterior()
    rising = pavi.Posterior(
        posterior.trained, posterior.data, history=history(torch.arange(50.0))
    ).check(draws=200)
    assert not rising.trusted
    assert "still rising when the fit ended" in str(rising)
    assert rising.advice[0].startswith("More steps")
    assert "Larger batches (batch=) if a step sees few of the rows" in rising.advice[1]
    falling = pavi.Posterior(
        posterior.trained, posterior.data, history=history(-torch.arange(50.0))
    ).check(draws=200)
    assert falling.advice[0].startswith("A smaller learning rate")
    assert falling.advice[1] == rising.advice[1]


@pytest.mark.parametrize(
    ("khat", "draws", "grade"),
    [(0.3, 1000, "good"), (0.6, 1000, "fair"), (0.68, 1000, "poor"), (0.68, 5000, "fair")],
)
def test_grades_of_the_globals(khat, draws, grade):
    tail = GlobalTail(("mu",), khat, effective_sample_size=10.0, draws=draws, noise=0.0)
    assert tail.grade == grade


@pytest.mark.parametrize(("counting", "grade"), [(700.0, "poor"), (966.0, "fair")])
def test_a_heavy_tail_of_few_draws_leaves_averages_right(counting, grade):
    tail = GlobalTail(("mu",), 0.95, effective_sample_size=counting, draws=1000, noise=0.0)
    assert tail.grade == grade


def test_the_bulk_of_a_slightly_narrow_normal_is_right():
    """Weights of N(0, 1) under N(0, 0.9^2): k = 1 - 0.81 < 1/2, and 98% of the draws count."""
    noise = 0.9 * torch.randn(4000, dtype=torch.float64)
    log_weights = 0.5 * noise**2 * (1 / 0.81 - 1)
    weights = log_weights.softmax(0)
    size = float(1 / weights.square().sum())
    chi_square = 4000 / size - 1
    shift = float((weights * noise).sum() - noise.mean()) / 0.9
    assert abs(shift) <= chi_square**0.5
    assert GlobalTail(("mu",), 0.95, effective_sample_size=size, draws=4000, noise=0.0).bulk


@pytest.mark.parametrize(("bad", "grade"), [(0, "good"), (5, "fair"), (6, "poor")])
def test_a_few_rows_may_exceed_the_threshold(bad, grade):
    khat = torch.full((100,), 0.2)
    khat[:bad] = 0.9
    level = LevelTails(("school",), ("b",), khat, draws=1000)
    assert level.grade == grade
    assert len(level.worst(3)) == min(bad, 3)


def test_the_draws_of_a_few_seconds():
    """Twelve groups of two dimensions with their data are a few hundred numbers, times four."""
    posterior, _ = exact_posterior()
    numbers = max(posterior.data.numbers().values())

    def draws(work):
        return affordable_draws(posterior.guide, posterior.data, work=work)

    assert draws(1e9) == DRAWS
    assert draws(4 * numbers * 304.0) == 300
    assert draws(4 * numbers * 199.0) is None


def test_remedies_are_told_in_the_words_of_who_asks():
    posterior, exact = exact_posterior()
    shrink(posterior, exact)
    found = posterior.check(draws=200, inner=32)
    told = dataclasses.replace(found, remedies=CommandRemedies())
    assert told.verdict == found.verdict
    assert len(told.advice) == len(found.advice) > 0
    assert 'flows={"mu_g": pavi.MAFFlow()}' in " ".join(found.advice)
    assert "--flow mu_g=maf" in " ".join(told.advice)


@pytest.mark.parametrize("remedies", [PythonRemedies(), CommandRemedies()])
def test_every_remedy_of_the_command_line_is_an_option(remedies):
    """Each is told; the options and values of the command line are parsed as they stand."""
    flows = [remedies.flow("maf"), remedies.flow("nsf", ["a", "b"])]
    rates = [remedies.rate(tables=True), remedies.rate(tables=False)]
    others = [remedies.steps(), remedies.batch(), remedies.inner(), remedies.hybrid()]
    said = [*flows, *rates, *others, remedies.faithful(), remedies.point_estimate()]
    assert len(set(said)) == len(said)
    if isinstance(remedies, PythonRemedies):
        return
    options = [word for text in [*flows, *rates, remedies.hybrid()] for word in text.split()]
    options += [remedies.steps(), "9", *remedies.batch().replace("PLATE=ROWS", "a=3").split()]
    given = build_parser().parse_args(["fit", "m.py:m", "d.csv", "--out", "o", *options])
    assert given.flow == ["maf", "a=nsf", "b=nsf"]
    assert (given.learning_rate, given.table_rate) == (0.01, 0.03)
    assert (given.encodings, given.steps, given.batch) == ("hybrid", 9, ["a=3"])
    command, option = remedies.inner().removeprefix("pavi ").split()
    assert build_parser().parse_args([command, "fit", option, "16"]).inner == 16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draws": 100}, "multiple of 5 and at least 200, got 100"),
        ({"draws": 203}, "multiple of 5 .* got 203"),
        ({"inner": 2}, "inner must be an even integer of at least 4, got 2"),
        ({"inner": 7}, "inner must be an even integer of at least 4, got 7"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(options, message):
    posterior, _ = exact_posterior(groups=3)
    with pytest.raises(ValueError, match=message):
        posterior.check(**options)


def test_a_posterior_without_data_is_told_to_load_them(tmp_path):
    posterior, _ = exact_posterior(groups=3)
    posterior.save(tmp_path / "fit")
    with pytest.raises(ValueError, match=r"observed values of \['x'\]; load .* data=\.\.\."):
        pavi.Posterior.load(tmp_path / "fit", posterior.model).check()
