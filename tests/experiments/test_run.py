"""Runs: what they write, how they go on, and what they refuse."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from config_files import AFFINE, CONFIGS
from pytorch_lightning.accelerators import CUDAAccelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import experiments.csv_log
import experiments.run
from experiments.config_file import load
from experiments.run import carry_out, main, prepare
from experiments.run_identity import stored_run_id
from pavi import Posterior
from pavi.files import DiskFullError
from pavi.models import gaussian_random_effects
from pavi.training import NonFiniteLossError


def run(path: Path, *overrides: str) -> dict[str, object]:
    return carry_out(prepare(load(path, overrides)))


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def break_parameters(prepared, *, step: int) -> None:
    """Make every parameter NaN when `step` steps are done."""
    guide = prepared.experiment.module.guide

    def hook(*_: object) -> None:
        if prepared.stage.trainer.global_step == step:
            for parameter in guide.parameters():
                parameter.data.fill_(float("nan"))

    guide.register_forward_pre_hook(hook)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_runs(path, tmp_path):
    # The seed is what a study adds to the configs of its methods.
    given = ["train.steps=2", "eval_draws=2", f"out={tmp_path / 'run'}", "seed=0"]
    metrics = run(path, *given)
    assert metrics["steps"] == 2
    assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == metrics


def test_a_run_writes_all_that_is_needed_to_repeat_it(tmp_path):
    out = tmp_path / "run"
    metrics = run(AFFINE, f"out={out}")
    assert files(out) == {
        "checkpoints/step=10.ckpt",
        "checkpoints/step=9.ckpt",
        "config.yaml",
        "logs/version_0/metrics.csv",
        "metrics.json",
        "posterior/links.safetensors",
        "posterior/posterior.json",
        "posterior/weights.safetensors",
        "provenance.json",
    }
    record = json.loads((out / "provenance.json").read_text())
    assert record["seed"] == 0
    assert record["versions"]["python"].startswith("3.")
    posterior = Posterior.load(out / "posterior", gaussian_random_effects())
    assert sum(p.numel() for p in posterior.guide.parameters()) == metrics["num_parameters"]
    # Two estimates of one number.
    error = 5 * metrics["standard_error"]
    assert metrics["gap"] == pytest.approx(metrics["log_evidence"] - metrics["elbo"], abs=error)
    assert run(out / "config.yaml", f"out={tmp_path / 'again'}")["elbo"] == metrics["elbo"]


def test_a_failed_run_keeps_its_last_checkpoint_and_resumes_to_an_undisturbed_one(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = run(AFFINE, "train.checkpoint_every=4", f"out={whole}")
    config = load(AFFINE, ["train.checkpoint_every=4", f"out={broken}"])
    first = prepare(config)
    break_parameters(first, step=6)
    with pytest.raises(NonFiniteLossError, match="step 6"):
        carry_out(first)
    assert files(broken / "checkpoints") == {"step=4.ckpt"}
    assert not (broken / "metrics.json").exists()
    second = prepare(config)
    assert second.stage.resume == broken / "checkpoints" / "step=4.ckpt"
    found = carry_out(second)
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    weights = [(out / "posterior" / "weights.safetensors").read_bytes() for out in (whole, broken)]
    assert weights[0] == weights[1]
    assert "logs/version_1/metrics.csv" in files(broken)


def test_a_complete_run_is_not_run_again(tmp_path):
    out = f"out={tmp_path / 'run'}"
    assert run(AFFINE, out) == run(AFFINE, out)
    assert "logs/version_1/metrics.csv" not in files(tmp_path / "run")


def test_a_folder_of_another_config_is_refused(tmp_path):
    out = tmp_path / "run"
    run(AFFINE, f"out={out}")
    before = files(out)
    message = "holds a run of another config: train.draws is 8 there and 3 here. Choose another"
    with pytest.raises(ValueError, match=message):
        run(AFFINE, f"out={out}", "train.draws=3")
    assert files(out) == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("Chapter 1")
    with pytest.raises(ValueError, match="is not a run folder"):
        run(AFFINE, f"out={tmp_path}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "and is empty"),
        ("- a", "and is a list"),
        ("{a: ", "it is not valid YAML"),
        ("seed: 0", "holds a run of another config"),
    ],
)
def test_a_damaged_config_of_a_run_is_told(text, why, tmp_path):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"(?s){why}.*out=") as caught:
        run(AFFINE, f"out={tmp_path}")
    assert str(tmp_path) in str(caught.value)


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="x/y cannot be made: .*file is a file; choose"):
        run(AFFINE, f"out={tmp_path / 'file' / 'x' / 'y'}")


def test_a_truncated_checkpoint_is_named(tmp_path, capsys):
    out = tmp_path / "run"
    expected = run(AFFINE, f"out={out}")
    (out / "metrics.json").unlink()
    checkpoint = out / "checkpoints" / "step=10.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    assert {**run(AFFINE, f"out={out}"), "seconds": 0} == {**expected, "seconds": 0}
    assert "step=10.ckpt (1,000 bytes) cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.stepz=3", "unknown key 'train.stepz'"),
        (
            "train.batch={groupz: 3}",
            "batch names unknown plates ['groupz']; plates are ['group', ",
        ),
        ("train.batch.group=99", "plate 'group' must be between 1 and its 12 rows, got 99"),
        ("trainer.accelerator=gpu", "this machine cannot give accelerator=gpu"),
    ],
)
def test_a_failed_start_says_why_and_writes_nothing(
    override, message, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(CUDAAccelerator, "is_available", staticmethod(lambda: False))
    assert main([str(AFFINE), f"out={tmp_path / 'run'}", override]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def interrupts():
    """Lightning ignores Ctrl-C for good after the first."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(
    ("every", "message"),
    [
        (4, "step=4.ckpt. The same command"),
        (10, "no checkpoint yet (one is written every 10 steps"),
    ],
)
def test_an_interrupted_run_says_how_to_go_on(
    every, message, tmp_path, capsys, monkeypatch, interrupts
):
    def prepare_broken(*given, **options):
        prepared = prepare(*given, **options)

        def hook(*_):
            if prepared.stage.trainer.global_step == 6:
                raise KeyboardInterrupt

        prepared.experiment.module.guide.register_forward_pre_hook(hook)
        return prepared

    monkeypatch.setattr(experiments.run, "prepare", prepare_broken)
    arguments = [str(AFFINE), f"out={tmp_path / 'run'}", f"train.checkpoint_every={every}"]
    assert main(arguments) == 130
    error = capsys.readouterr().err
    assert message in error
    assert error.splitlines()[-1].endswith("-m experiments.run " + " ".join(arguments))
    monkeypatch.undo()
    assert main(arguments) == 0


def test_a_terminated_run_keeps_its_step_and_says_how_to_go_on(tmp_path, capsys, monkeypatch):
    calm, out = tmp_path / "calm", tmp_path / "run"
    assert main([str(AFFINE), f"out={calm}"]) == 0

    def prepare_ended(*given, **options):
        prepared = prepare(*given, **options)

        def hook(*_):
            if prepared.stage.trainer.global_step == 6:
                os.kill(os.getpid(), signal.SIGTERM)

        prepared.experiment.module.guide.register_forward_pre_hook(hook)
        return prepared

    monkeypatch.setattr(experiments.run, "prepare", prepare_ended)
    arguments = [str(AFFINE), f"out={out}"]
    assert main(arguments) == 75
    error = capsys.readouterr().err
    assert "stopped by SIGTERM after step 7. The last checkpoint is " in error
    assert "step=7.ckpt. The same command goes on from what is there:" in error
    assert error.splitlines()[-1].endswith("-m experiments.run " + " ".join(arguments))
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    monkeypatch.undo()
    assert main(arguments) == 0
    weights = [(run / "posterior" / "weights.safetensors").read_bytes() for run in (calm, out)]
    assert weights[0] == weights[1]


def test_a_full_disk_ends_a_run_and_names_the_checkpoint(tmp_path, capsys, monkeypatch):
    arguments = [str(AFFINE), f"out={tmp_path / 'run'}", "train.checkpoint_every=4"]

    rows = []

    def full(file, text):
        rows.append(text)
        if len(rows) == 6:
            raise DiskFullError(file, needed=len(text), free=0)

    monkeypatch.setattr(experiments.csv_log, "append_text", full)
    assert main([*arguments, "train.log_every=1"]) == 1
    error = capsys.readouterr().err
    assert "the disk is full: " in error
    assert "metrics.csv could not be written" in error
    assert "The last checkpoint is" in error
    monkeypatch.undo()
    assert main([*arguments, "train.log_every=1"]) == 0


@pytest.mark.parametrize(
    ("every", "message"), [(4, "last checkpoint is "), (10, "no checkpoint yet")]
)
def test_a_failed_run_names_a_checkpoint_only_if_there_is_one(
    every, message, tmp_path, capsys, monkeypatch
):
    def prepare_broken(*given, **options):
        prepared = prepare(*given, **options)
        break_parameters(prepared, step=6)
        return prepared

    monkeypatch.setattr(experiments.run, "prepare", prepare_broken)
    out = tmp_path / "run"
    assert main([str(AFFINE), f"out={out}", f"train.checkpoint_every={every}"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert (str(out / "checkpoints" / "step=4.ckpt") in error) == (every == 4)


def test_the_command_line_ends_with_the_metrics(tmp_path, capsys):
    assert main([str(AFFINE), f"out={tmp_path / 'run'}"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last)["gap"] > 0
    record = json.loads((tmp_path / "run" / "provenance.json").read_text())
    assert record["command"][1:4] == ["-m", "experiments.run", str(AFFINE)]


def test_tensorboard_and_csv_have_the_same_names(tmp_path):
    run(AFFINE, "logger=tensorboard", f"out={tmp_path / 'board'}")
    run(AFFINE, f"out={tmp_path / 'csv'}")
    events = EventAccumulator(str(tmp_path / "board" / "logs" / "version_0"))
    events.Reload()
    header = (tmp_path / "csv" / "logs" / "version_0" / "metrics.csv").read_text().splitlines()[0]
    names = set(events.Tags()["scalars"])
    assert names == set(header.split(",")) - {"step"}
    assert {"train/elbo", "train/elbo_per_latent", "final/elbo", "val/gap"} < names
    assert {"grad_norm/tables", "grad_norm/flows", "plates/group/batch", "time/step_ms"} < names
    assert set(events.Tags()["images"]) == {"figures/elbo", "figures/gap"}


def test_a_checkpoint_keeps_the_id_of_its_run(tmp_path):
    out = tmp_path / "run"
    run(AFFINE, f"out={out}")
    record = json.loads((out / "provenance.json").read_text())
    checkpoint = out / "checkpoints" / "step=10.ckpt"
    assert stored_run_id(checkpoint) == record["run_id"]
    held = torch.load(checkpoint, weights_only=True)
    del held["callbacks"]["RunIdentity"]  # as of a fit outside of experiments
    torch.save(held, checkpoint)
    assert stored_run_id(checkpoint) is None
