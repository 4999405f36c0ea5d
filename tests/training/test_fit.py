"""The front door end to end: fit, save, load, and the errors on the way."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch

import pavi
from pavi.models import gaussian_random_effects


@pytest.fixture(scope="module")
def fitted():
    model = gaussian_random_effects()
    sim = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    return pavi.fit(model, data, steps=20, batch={"group": 2}, progress=False)


def test_a_saved_posterior_draws_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", fitted.model)
    assert torch.equal(loaded.sample("mu_g", draws=5), fitted.sample("mu_g", draws=5))
    with pytest.raises(ValueError, match="the ELBO needs the observed values"):
        loaded.elbo()


def test_another_model_is_noticed(fitted, tmp_path):
    fitted.save(tmp_path / "fit")
    with pytest.raises(ValueError, match="belongs to another model: site 'mu' is"):
        pavi.Posterior.load(tmp_path / "fit", gaussian_random_effects(dim=3))


def test_chosen_rows_come_in_the_order_asked(fitted):
    assert fitted.sample("mu_g", draws=4, group=[5, 0]).shape == (4, 2, 2)
    with pytest.raises(ValueError, match="has rows 0 to 5, got 6"):
        fitted.sample("mu_g", group=[6])


def test_a_resumed_fit_equals_an_undisturbed_one(tmp_path):
    model = gaussian_random_effects()
    sim = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    settings = {"steps": 20, "batch": {"group": 2}, "progress": False}
    calm = pavi.fit(model, data, **settings)
    broken = pavi.PlateData.from_arrays(sim.arrays, model)

    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 11:
                raise KeyError("killed")

    with pytest.raises(KeyError):
        pavi.fit(model, broken, checkpoints=tmp_path, callbacks=[Stop()], **settings)
    resumed = pavi.fit(model, data, checkpoints=tmp_path, **settings)
    for one, other in zip(calm.guide.parameters(), resumed.guide.parameters(), strict=True):
        assert torch.equal(one, other)


class Elbos(pl.Callback):
    """The ELBO of every step."""

    def __init__(self):
        self.found = []

    def on_train_batch_end(self, trainer, pl_module, outputs, *_):
        self.found.append(-float(outputs["loss"]))


def test_the_bar_shows_an_average_of_the_elbo_and_says_so(capsys):
    """Weights that fall by a fiftieth with every step back, over all steps so far."""
    model = gaussian_random_effects()
    sim = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = pavi.PlateData.from_arrays(sim.arrays, model)
    elbos = Elbos()
    pavi.fit(model, data, steps=30, batch={"group": 2}, callbacks=[elbos])
    weights = [0.98**age for age in reversed(range(30))]
    pairs = list(zip(weights, elbos.found, strict=True))
    average = sum(weight * elbo for weight, elbo in pairs) / sum(weights)
    shown = capsys.readouterr().out
    assert f"ELBO, smoothed: {average:,.1f} " in shown
    assert f"{average:,.1f}" != f"{elbos.found[-1]:,.1f}"
