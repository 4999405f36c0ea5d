"""Every small example builds, fits and draws; the table says what the files say."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
import torch
from matplotlib.figure import Figure

from examples.stored import stored
from examples.table import write_table
from examples.theoph import concentration

# Chem97 and InstEval share model and data with the benchmarks, whose tests read them.
SMALL = ("sleepstudy", "epil", "verbagg", "theoph", "galaxies")


@pytest.mark.parametrize("name", SMALL)
def test_an_example_fits_and_draws(name):
    example = import_module(f"examples.{name}").EXAMPLE
    model = example.model()
    data = example.data(model)
    posterior = example.fit(model, data, steps=2, seed=0)
    assert isinstance(example.figure(posterior), Figure)
    assert torch.isfinite(torch.tensor(posterior.elbo(draws=4).mean))


def test_the_curve_solves_its_equations():
    """The amount in the gut decays, what leaves it enters the blood, and is cleared from there."""
    theta = torch.tensor([-2.5, 0.4, -3.2], dtype=torch.float64)
    k_e, k_a, clearance = theta.exp()
    dose = torch.tensor(4.0, dtype=torch.float64)
    hours = torch.linspace(0.1, 20, 30, dtype=torch.float64)
    leaf = hours.clone().requires_grad_()
    curve = concentration(theta, dose, leaf)
    (slope,) = torch.autograd.grad(curve.sum(), leaf)
    entering = dose * k_e / clearance * k_a * torch.exp(-k_a * hours)
    torch.testing.assert_close(slope, entering - k_e * curve.detach())


@pytest.mark.parametrize("theta", [[-1.0, -1.0, 0.0], [9.0, -5.0, 0.0], [-5.0, 9.0, 0.0]])
def test_the_curve_is_finite_at_close_and_at_distant_rates(theta):
    value = torch.tensor(theta, requires_grad=True)
    found = concentration(value, torch.tensor(4.0), torch.tensor([0.0, 1.0, 25.0]))
    (gradient,) = torch.autograd.grad(found.sum(), value)
    assert torch.isfinite(found).all()
    assert torch.isfinite(gradient).all()


def test_stored_references_have_the_form_of_drawn_ones():
    found = stored("chem97", chains=2, draws=8000, seconds=30.0)
    assert found.moments.mean["school_effect"].shape == (2410,)
    assert found.facts["chains"] == 2


def test_the_table_names_the_worst_global(tmp_path):
    row = {"mean": 1.0, "sd": 1.0, "reference_mean": 1.0, "reference_sd": 1.0}
    result = {
        "title": "numbers",
        "latents": 3,
        "seconds": 5.0,
        "steps": 10,
        "elbo": -1.0,
        "elbo_se": 0.1,
        "agrees": False,
        "reference": {"sampler": "nutpie", "chains": 4, "seconds": 7.0},
        "globals": {
            "a": {**row, "z": 0.1, "sd_ratio": 0.9},
            "b": {**row, "z": -0.5, "sd_ratio": 1.3},
        },
        "plates": {"c": {"values": 2, "rms_z": 0.05, "sd_ratio": 1.0}},
    }
    (tmp_path / "mine.json").write_text(json.dumps(result))
    write_table(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "| 0.50 (`b`) | 0.90 to 1.30 | c 0.050 | **no** | 5 | 7 |" in text
