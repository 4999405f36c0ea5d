"""What is logged of a step: the gradient in parts, the ELBO per latent, rows and times."""

from __future__ import annotations

import math

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger

from pavi import (
    DeepSetEncodings,
    FreeEncodings,
    HybridEncodings,
    Optimization,
    PlateAmortizedGuide,
    PlateData,
    PlateDataModule,
    ReducedELBO,
    VariationalInference,
)
from pavi.models import gaussian_random_effects
from pavi.training import StepLog
from pavi.training.quiet import quiet
from pavi.training.step_log import gradient_norms

PARTS = {
    "free": (FreeEncodings(dim=4), {"tables", "flows"}),
    "deep set": (DeepSetEncodings(dim=4), {"networks", "flows"}),
    "hybrid": (HybridEncodings(DeepSetEncodings(dim=4)), {"tables", "networks", "flows"}),
}


def problem(encodings):
    model = gaussian_random_effects(dim=2)
    simulation = model.simulate({"group": 6, "obs": 3}, seed=0)
    data = PlateData.from_arrays(simulation.arrays, model)
    guide = PlateAmortizedGuide(model, data.cardinalities, encodings=encodings)
    guide.initialise(data.batch())
    return data, guide


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_of_the_gradient_make_up_the_whole(name):
    encodings, parts = PARTS[name]
    data, guide = problem(encodings)
    guide.standardise(data.batch())
    ReducedELBO(draws=4)(guide, data.batch()).loss.backward()
    found = gradient_norms(guide)
    assert set(found) == parts
    gradients = [p.grad.to_dense() for p in guide.parameters() if p.grad is not None]
    whole = math.sqrt(sum(float(g.square().sum()) for g in gradients))
    assert math.hypot(*map(float, found.values())) == pytest.approx(whole, rel=1e-5)
    tables = [p.grad.to_dense() for p in guide.tables() if p.grad is not None]
    expected = math.sqrt(sum(float(g.square().sum()) for g in tables))
    assert float(found.get("tables", 0.0)) == pytest.approx(expected, rel=1e-5)


class Seen(CSVLogger):
    """Keeps what it is given."""

    def __init__(self, folder):
        super().__init__(folder)
        self.rows = []

    def log_metrics(self, metrics, step=None):
        self.rows.append(dict(metrics))


def test_every_logged_step_says_what_it_did(tmp_path):
    data, guide = problem(FreeEncodings(dim=4))
    module = VariationalInference(guide, optimization=Optimization(clip_norm=1e-6))
    seen = Seen(tmp_path)
    with quiet():
        trainer = pl.Trainer(
            max_steps=7,
            log_every_n_steps=3,
            logger=seen,
            accelerator="cpu",
            callbacks=[StepLog(num_latents=14)],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, PlateDataModule(data, batch={"group": 4, "obs": 2}, seed=0))
    assert len(seen.rows) == 2
    for row in seen.rows:
        assert row["plates/group/batch"] == 4
        assert row["plates/obs/batch"] == 2
        assert row["train/elbo_per_latent"] == pytest.approx(row["train/elbo"] / 14, rel=1e-5)
        assert 0 < row["time/wait_ms"] < row["time/step_ms"]
        # Of the gradient as it was before clipping.
        assert row["grad_norm/tables"] > 1e-3
        assert row["grad_norm/flows"] > 1e-3
        assert "grad_norm" not in row


def test_a_model_without_latents_is_refused():
    with pytest.raises(ValueError, match="num_latents must be positive, got 0"):
        StepLog(num_latents=0)


def test_a_gradient_that_is_not_there_has_no_norm():
    _, guide = problem(FreeEncodings(dim=4))
    assert gradient_norms(guide) == {}
    torch.nn.utils.parameters_to_vector(guide.tables()).sum().backward()
    assert set(gradient_norms(guide)) == {"tables"}
