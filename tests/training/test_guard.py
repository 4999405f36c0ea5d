"""Steps that would ruin a fit are stopped before they change anything, and say where."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch.distributions import Normal

import pavi
from pavi import Latent, Observed, Plate
from pavi.training import NonFiniteLossError, VariationalInference, latest_checkpoint, quiet

BREAKS = 3


class NaNGradient(torch.autograd.Function):
    """The identity, with a gradient that is not a number."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * torch.nan


class Breaking(pl.Callback):
    """Breaks the model in one step, and keeps the parameters before every step."""

    def __init__(self):
        self.broken = False
        self.before = {}

    def on_train_batch_start(self, trainer, pl_module, *_):
        self.broken = trainer.global_step == BREAKS
        self.before = {n: p.detach().clone() for n, p in pl_module.named_parameters()}


@pytest.fixture
def breaking():
    return Breaking()


@pytest.fixture
def problem(breaking):
    """Data and a guide; `fault` says what happens to the effects in the step that breaks."""

    def build(fault):
        def score(a):
            return Normal(fault(a) if breaking.broken else a, 1.0)

        model = pavi.HierarchicalModel(
            [Plate("group"), Plate("obs", within="group")],
            {
                "mu": Latent(lambda: Normal(0.0, 1.0)),
                "a": Latent(lambda mu: Normal(mu, 0.5), "group"),
                "y": Observed(score, "obs"),
            },
        )
        links = {"obs": [0, 1, 2, 0, 1, 2, 3]}
        data = pavi.PlateData.from_arrays({"y": torch.linspace(-1, 1, 7)}, model, links=links)
        return data, pavi.PlateAmortizedGuide(model, data.cardinalities)

    return build


def trainer(**settings):
    with quiet():
        return pl.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **settings,
        )


def run(data, guide, breaking, folder, batch):
    pavi.fit(
        data.model,
        data,
        guide=guide,
        batch=batch,
        steps=8,
        checkpoints=folder,
        callbacks=[breaking],
        progress=False,
        accelerator="cpu",
    )


def check_nothing_changed(guide, before, folder):
    """The parameters are those before the step, which the last checkpoint holds too."""
    latest = latest_checkpoint(folder)
    assert latest == folder / f"step={BREAKS}.ckpt"
    saved = torch.load(latest, weights_only=True)["state_dict"]
    for name, parameter in guide.named_parameters():
        assert torch.isfinite(parameter).all()
        assert torch.equal(parameter, before[f"guide.{name}"])
        assert torch.equal(parameter, saved[f"guide.{name}"])


@pytest.mark.parametrize("batch", [{}, {"group": 2}], ids=["all rows", "some rows"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_names_step_and_site(problem, breaking, tmp_path, batch, value):
    data, guide = problem(lambda a: a + value)
    message = (
        rf"^step {BREAKS}: the loss is (nan|inf); the sites to blame are y \((nan|-inf)\). All"
    )
    with pytest.raises(NonFiniteLossError, match=message):
        run(data, guide, breaking, tmp_path, batch)
    check_nothing_changed(guide, breaking.before, tmp_path)


@pytest.mark.parametrize("batch", [{}, {"group": 2}], ids=["all rows", "some rows"])
def test_a_gradient_that_is_not_finite_changes_nothing(problem, breaking, tmp_path, batch):
    data, guide = problem(NaNGradient.apply)
    message = rf"^step {BREAKS}: the gradient is not finite at .*flows.a.head.weight.*; the par"
    with pytest.raises(NonFiniteLossError, match=message):
        run(data, guide, breaking, tmp_path, batch)
    check_nothing_changed(guide, breaking.before, tmp_path)


def test_a_sound_run_is_not_stopped(problem, breaking, tmp_path):
    data, guide = problem(lambda a: a)
    run(data, guide, breaking, tmp_path, {"group": 2})
    assert latest_checkpoint(tmp_path) == tmp_path / "step=8.ckpt"


def test_clipping_by_lightning_is_refused(problem):
    data, guide = problem(lambda a: a)
    message = r"gradient_clip_val=0.5\) cannot clip .*; use Optimization\(clip_norm=0.5\)"
    with pytest.raises(ValueError, match=message):
        trainer(max_steps=2, gradient_clip_val=0.5).fit(
            VariationalInference(guide), pavi.PlateDataModule(data)
        )


def test_a_run_without_a_length_is_refused(problem):
    data, guide = problem(lambda a: a)
    with pytest.raises(ValueError, match=r"never end: .* Trainer\(max_steps=2000\)"):
        trainer(limit_train_batches=1, max_epochs=1).fit(
            VariationalInference(guide), pavi.PlateDataModule(data)
        )
