"""Training over simulated data sets, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Cauchy, LogNormal, Normal
from training import amortizing_processes
from training.amortizing_processes import CHOICES, MODEL, OPTIMIZATION, SIZES
from training.launching import launch

import pavi
from pavi.data import SimulatedBatches
from pavi.models import gaussian_random_effects, gre_posterior

SCALES = (0.5, 0.5, 0.1)


@pytest.mark.parametrize("objective", [pavi.ReducedELBO(), pavi.ForwardKL()])
def test_an_unseen_data_set_of_unseen_size_is_close_to_its_evidence(objective):
    model = gaussian_random_effects(dim=1, scales=SCALES)
    amortized = pavi.amortize(
        model,
        {"group": (3, 12), "obs": 5},
        datasets=8,
        steps=250,
        objective=objective,
        optimization=pavi.Optimization(learning_rate=0.05, network_rate=0.03),
        progress=False,
    )
    simulation = model.simulate({"group": 15, "obs": 5}, seed=77)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    elbo = amortized.condition(data).elbo().mean
    evidence = gre_posterior(data.values["x"], scales=SCALES).log_evidence
    prior = pavi.PlateAmortizedGuide(model, data.cardinalities)
    assert -0.1 < evidence - elbo < 3.0 < evidence - pavi.Posterior(prior, data).elbo().mean


def test_batches_are_a_function_of_seed_step_and_rank():
    model = gaussian_random_effects()
    sizes = {"group": (2, 9), "obs": 3}

    def batch(**options):
        return SimulatedBatches(model, sizes, datasets=2, **{"seed": 0, **options})[3]

    one = batch()
    assert torch.equal(one.values["x"], batch().values["x"])
    assert one.values["mu_g"].shape[:2] == (2, len(one.rows["group"]))
    assert float(one.weight(("dataset",)).sum()) == 1.0
    for other in (batch(seed=1), batch(rank=1)):
        assert other.values["x"].shape != one.values["x"].shape or not torch.equal(
            other.values["x"], one.values["x"]
        )


def broken_prior(conditional):
    return pavi.HierarchicalModel(
        [pavi.Plate("row")],
        {
            "a": pavi.Latent(conditional),
            "y": pavi.Observed(lambda a: Normal(a, 1.0), "row"),
        },
    )


@pytest.mark.parametrize(
    ("cardinalities", "message"),
    [
        ({}, r"cardinalities lack the plates \['row'\]"),
        ({"row": 0}, "cardinality of plate 'row' must be a positive number of rows"),
        ({"row": (5, 2)}, r"the smallest and the largest such number, got \(5, 2\)"),
        ({"row": 2, "col": 3}, r"cardinalities name \['col'\]"),
    ],
)
def test_cardinalities_are_checked(cardinalities, message):
    model = broken_prior(lambda: Normal(0.0, 1.0))
    with pytest.raises(ValueError, match=message):
        pavi.SimulatedDataModule(model, cardinalities)


def test_a_prior_that_cannot_be_simulated_is_refused():
    model = broken_prior(lambda: LogNormal(0.0, 1e4))
    with pytest.raises(ValueError, match="a draw of site 'a' from the prior predictive is not"):
        pavi.amortize(model, {"row": 3}, steps=1, progress=False)
    assert pavi.SimulatedDataModule(broken_prior(lambda: Cauchy(0.0, 1.0)), {"row": 3})


def test_a_training_goes_on_from_its_checkpoint_to_the_same_end(tmp_path):
    model = gaussian_random_effects()
    choices = {"datasets": 2, "steps": 20, "checkpoints": tmp_path, "progress": False}
    calm = pavi.amortize(model, {"group": (2, 4), "obs": 2}, **choices)
    (tmp_path / "step=20.ckpt").unlink()
    resumed = pavi.amortize(model, {"group": (2, 4), "obs": 2}, **choices)
    for one, other in zip(calm.guide.parameters(), resumed.guide.parameters(), strict=True):
        assert torch.equal(one, other)
    # The clock of the first start, which no second one would hit.
    assert resumed.history["seconds"][0] == calm.history["seconds"][0]
    with pytest.raises(ValueError, match="is of another run: plate sizes.group is"):
        pavi.amortize(model, {"group": 3, "obs": 2}, **choices)


def test_two_processes_draw_data_sets_of_their_own_and_end_with_the_same_guide(tmp_path):
    launch(amortizing_processes.__file__, tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    streams = [
        SimulatedBatches(MODEL, SIZES, datasets=CHOICES["datasets"], seed=3, rank=rank)
        for rank in (0, 1)
    ]
    for held, stream in zip((one, other), streams, strict=True):
        for step, drawn in enumerate(held["drawn"]):
            assert torch.equal(drawn, stream[step].values["x"])
    for mine, yours in zip(one["drawn"], other["drawn"], strict=True):
        assert mine.shape != yours.shape or not torch.equal(mine, yours)
    for name, value in one["guide"].items():
        assert torch.equal(value, other["guide"][name]), name
    alone = pavi.amortize(MODEL, SIZES, optimization=OPTIMIZATION, **CHOICES)
    assert not all(torch.equal(v, one["guide"][n]) for n, v in alone.guide.state_dict().items())


def test_data_of_another_model_are_refused():
    model = gaussian_random_effects()
    amortized = pavi.amortize(model, {"group": 3, "obs": 2}, steps=1, progress=False)
    other = gaussian_random_effects(dim=3)
    data = pavi.PlateData.from_arrays({"x": torch.zeros(2, 2, 3)}, other)
    with pytest.raises(ValueError, match="the data belong to another model than the guide: site"):
        amortized.condition(data)


def test_the_forward_divergence_needs_true_values():
    model = gaussian_random_effects()
    data = pavi.PlateData.from_arrays({"x": torch.zeros(2, 3, 2)}, model)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities)
    with pytest.raises(ValueError, match=r"needs the true values of \['mu', 'mu_g'\]"):
        pavi.ForwardKL()(guide, data.batch())
