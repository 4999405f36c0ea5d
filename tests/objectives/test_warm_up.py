"""Warm-up: what a step weighs over a run, and that the objective weighs it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import pavi
from pavi.models import gaussian_random_effects
from pavi.objectives import MAP, Annealed, CoolStart, Emphasis, Unregularised, WarmUp

WEIGHTS = [2.0, 4.0]
PHASES = WarmUp([MAP(0.2), Annealed(0.4), Unregularised(0.5), CoolStart(until=0.75, noise=0.2)])


@pytest.fixture(scope="module")
def problem():
    """A guide away from the prior, and a batch of two weighted groups of six."""
    model = gaussian_random_effects()
    sim = model.simulate({"group": 6, "obs": 3}, seed=0, dtype=torch.float64)
    data = pavi.PlateData.from_arrays(sim.arrays, model, dtype=torch.float64)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in guide.parameters():
            parameter.normal_(0.0, 0.2, generator=generator)
    rows, weights = {"group": np.array([1, 4])}, {"group": np.array(WEIGHTS)}
    return guide, data.batch(rows, weights=weights, seed=3)


@pytest.mark.parametrize(
    ("warm_up", "progress", "expected"),
    [
        (WarmUp(), 0.0, Emphasis()),
        (WarmUp([CoolStart()]), 0.0, Emphasis(noise=0.3)),
        (WarmUp([CoolStart()]), 0.15, Emphasis()),
        (WarmUp([CoolStart(until=0.5, noise=0.2)]), 0.0, Emphasis(noise=0.2)),
        (WarmUp([CoolStart(until=0.5, noise=0.2)]), 0.25, Emphasis(noise=0.6)),
        (WarmUp([CoolStart(until=0.5, noise=0.2)]), 0.5, Emphasis()),
        (WarmUp([CoolStart(until=0.5, noise=0.2)]), 1.0, Emphasis()),
        (WarmUp([Annealed(0.5)]), 0.0, Emphasis(prior=0.0, entropy=0.0)),
        (PHASES, 0.0, Emphasis(entropy=0.0, noise=0.0)),
        (PHASES, 0.19, Emphasis(entropy=0.0, noise=0.0)),
        (PHASES, 0.2, Emphasis(prior=0.0, entropy=0.0)),
        (PHASES, 0.3, Emphasis(prior=0.5, entropy=0.5)),
        (PHASES, 0.4, Emphasis(entropy=0.0)),
        (PHASES, 0.49, Emphasis(entropy=0.0)),
        (PHASES, 0.5, Emphasis(noise=0.2)),
        (PHASES, 0.625, Emphasis(noise=0.6)),
        (PHASES, 0.75, Emphasis()),
        (WarmUp([]), 0.0, Emphasis()),
    ],
)
def test_the_weights_over_a_run(warm_up, progress, expected):
    found = warm_up.emphasis(progress)
    weights = [found.prior, found.entropy, found.noise]
    assert weights == pytest.approx([expected.prior, expected.entropy, expected.noise])


@pytest.mark.parametrize("phase", [CoolStart(0.4), Annealed(0.4)], ids=lambda p: type(p).__name__)
def test_a_phase_grows_into_the_elbo(phase):
    found = WarmUp([phase]).emphasis(0.4 - 1e-9)
    assert [found.prior, found.entropy, found.noise] == pytest.approx([1.0, 1.0, 1.0])


@pytest.mark.parametrize("phase", [CoolStart, MAP, Unregularised, Annealed])
@pytest.mark.parametrize("until", [0.0, 1.0, -0.1, 15.0, float("nan")])
def test_a_phase_ends_within_the_run(phase, until):
    with pytest.raises(ValueError, match=rf"{phase.__name__}: until is .* got {until}"):
        phase(until)


@pytest.mark.parametrize("ends", [(0.5, 0.4), (0.5, 0.5), (0.1, 0.3, 0.2)])
def test_phases_are_in_order(ends):
    with pytest.raises(ValueError, match=r"each phase must end after the one before; .* \[0\."):
        WarmUp([MAP(end) for end in ends])


@pytest.mark.parametrize("gradient", ["path", "reparam"])
def test_the_objective_weighs_as_the_formula_says(problem, gradient):
    guide, batch = problem
    emphasis = Emphasis(prior=0.3, entropy=0.7, noise=0.5)
    objective = pavi.ReducedELBO(draws=4, gradient=gradient)
    result = objective(guide, batch, emphasis=emphasis)
    drawn = guide(batch, draws=4, path=False, antithetic=True, noise=0.5)
    mean = {
        name: (0.3 * drawn.log_p[name] - 0.7 * drawn.log_q[name]).mean(0)
        for name in ("mu", "mu_g")
    }
    factor = guide.model.log_factor("x", drawn.values, batch, draws=4)
    groups = torch.tensor(WEIGHTS, dtype=torch.float64)
    expected = {
        "mu": mean["mu"],
        "mu_g": groups @ mean["mu_g"],
        "x": groups @ factor.mean(0).sum(1),
    }
    assert_close(result.terms, expected)
    assert_close(result.loss, -sum(expected.values()))


def test_noise_narrows_the_draws_around_the_medians(problem):
    guide, batch = problem
    full, half, none = (
        guide(batch, draws=4, noise=noise).values["mu"] for noise in (1.0, 0.5, 0.0)
    )
    assert_close(half - none, (full - none) / 2)


def test_without_noise_all_draws_are_equal(problem):
    guide, batch = problem
    for value in guide(batch, draws=4, antithetic=True, noise=0.0).values.values():
        assert torch.equal(value, value[:1].expand_as(value))
    single = pavi.ReducedELBO(draws=1)(guide, batch, emphasis=Emphasis(noise=0.0))
    assert_close(
        pavi.ReducedELBO(draws=4)(guide, batch, emphasis=Emphasis(noise=0.0)).loss, single.loss
    )
