"""Every small example builds, fits and draws; the table says what the files say."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module

import pytest
import torch
from matplotlib.figure import Figure
from torch.distributions import Normal

from examples.__main__ import NAMES
from examples.__main__ import main as run_all
from examples.example import RESULTS
from examples.example import main as run_one
from examples.marginals import marginals
from examples.reference import keep, kept_reference
from examples.stored import stored
from examples.table import write_table
from examples.theoph import concentration
from pavi import HierarchicalModel, Latent, Observed, Plate, PlateData
from pavi.interop import ReferencePosterior
from pavi.interop.reference import CONVERGED

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


def test_sleepstudy_counts_in_whole_days():
    example = import_module("examples.sleepstudy").EXAMPLE
    model = example.model()
    posterior = example.fit(model, example.data(model), steps=2, seed=0)
    ticks = example.figure(posterior).axes[0].get_xticks()
    assert len(ticks) > 1
    assert all(tick == int(tick) for tick in ticks)


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
    found = stored("chem97", chains=2, draws=8000)
    assert found.moments.mean["school_effect"].shape == (2410,)
    assert found.facts["chains"] == 2
    assert found.facts["largest_r_hat"] <= CONVERGED


@pytest.mark.parametrize("name", SMALL)
def test_kept_references_are_of_the_model_and_have_mixed(name):
    example = import_module(f"examples.{name}").EXAMPLE
    model = example.model()
    data = example.data(model)
    found = kept_reference(name, model, data, fresh=False, settings={})
    globals_ = {site for site in model.latents if not model.sites[site].plates}
    assert globals_ <= set(found.moments.mean)
    for site, sd in found.moments.sd.items():
        spec = model.sites[site]
        rows = tuple(data.cardinalities[plate] for plate in spec.plates)
        assert sd.shape == (*rows, *spec.event_shape)
    # Of some no draws were kept.
    assert set(found.draws) in (set(), globals_)
    assert found.facts["largest_r_hat"] <= CONVERGED
    assert found.facts["smallest_ess"] >= 400
    assert found.facts["divergences"] == 0


def test_a_kept_reference_is_read_as_it_was_drawn(tmp_path):
    model = HierarchicalModel(
        plates=[Plate("row")],
        sites={
            "mu": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,)),
            "a": Latent(lambda mu: Normal(mu, 1.0), plates="row", event_shape=(2,)),
            "y": Observed(lambda a: Normal(a.sum(-1), 1.0), plates="row"),
        },
    )
    draws = {"mu": torch.randn(3, 10, 2), "a": torch.randn(3, 10, 4, 2)}
    ones = {name: torch.ones(value.shape[2:]) for name, value in draws.items()}
    drawn = ReferencePosterior(
        draws=draws,
        r_hat=ones,
        ess=ones,
        divergences=0,
        gradients=100,
        seconds=3.0,
        compile_seconds=2.0,
    )
    keep(tmp_path / "mine.safetensors", model, drawn, cpu_seconds=4.0)
    data = PlateData.from_arrays({"y": torch.zeros(4)}, model)
    found = kept_reference("mine", model, data, fresh=False, settings={}, folder=tmp_path)
    moments = drawn.moments()
    torch.testing.assert_close(found.moments.mean["a"], moments.mean["a"].float())
    torch.testing.assert_close(found.moments.sd["mu"], moments.sd["mu"].float())
    torch.testing.assert_close(found.draws["mu"], draws["mu"].flatten(0, 1).float())
    assert "a" not in found.draws
    assert found.facts["seconds"] == 5.0
    assert found.facts["cpu_seconds"] == 4.0


def test_the_marginals_leave_out_what_cannot_move():
    corr = torch.eye(2).expand(100, 2, 2).clone()
    corr[:, 1, 0] = torch.linspace(-0.5, 0.5, 100)
    draws = {"corr": corr, "mu": torch.linspace(0, 1, 100)}
    figure = marginals(draws, draws)
    titles = [axis.get_title() for axis in figure.axes if axis.get_visible()]
    assert titles == ["corr[1, 0]", "mu"]


def test_all_examples_can_be_run_at_once(tmp_path):
    assert {path.stem for path in RESULTS.glob("*.json")} == set(NAMES)
    with pytest.raises(SystemExit):
        run_all(["no_such_example", "--out", str(tmp_path)])


def _fit(seed, *, elbo, agrees, seconds, z, ratio, rms_z):
    row = {"mean": 1.0, "sd": 1.0, "reference_mean": 1.0, "reference_sd": 1.0}
    return {
        "seed": seed,
        "seconds": seconds,
        "cpu_seconds": seconds - 1,
        "elbo": elbo,
        "elbo_se": 0.1,
        "agrees": agrees,
        "globals": {
            "a": {**row, "z": 0.1, "sd_ratio": 0.9},
            "b": {**row, "z": z, "sd_ratio": ratio},
        },
        "plates": {"c": {"values": 2, "rms_z": rms_z, "sd_ratio": 1.0}},
    }


def test_the_table_has_the_worst_global_of_the_worst_seed(tmp_path):
    result = {
        "title": "numbers",
        "latents": 3,
        "steps": 10,
        "reference": {"sampler": "nutpie", "chains": 4, "seconds": 7.0},
        "fits": [
            _fit(0, elbo=-1.0, agrees=True, seconds=4.0, z=0.2, ratio=1.1, rms_z=0.02),
            _fit(1, elbo=-3.0, agrees=False, seconds=6.0, z=-0.5, ratio=1.3, rms_z=0.05),
        ],
    }
    (tmp_path / "mine.json").write_text(json.dumps(result))
    write_table(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert (
        "| 0.50 (`b`) | 0.90 to 1.30 | c 0.050 | -3.00 to -1.00 | **1 of 2** | 5 (4) | 7 |" in text
    )
    assert "| b | 1 | 1 | 1 | 1 | +0.20, -0.50 | 1.10, 1.30 |" in text


def test_an_example_is_fitted_with_every_seed(tmp_path):
    example = import_module("examples.verbagg").EXAMPLE
    drawn = []
    quick = replace(example, figure=lambda posterior: drawn.append(posterior) or Figure())
    run_one(quick, ["--seeds", "3", "5", "--steps", "1", "--out", str(tmp_path)])
    found = json.loads((tmp_path / "verbagg.json").read_text())
    assert found["provenance"]["seed"] == [3, 5]
    assert [fit["seed"] for fit in found["fits"]] == [3, 5]
    assert found["fits"][0]["elbo"] != found["fits"][1]["elbo"]
    assert len(drawn) == 1
