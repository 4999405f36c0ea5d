"""Weights & Biases without a server: what a run writes is read back and compared."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import wandb
from wandb_file import read, values

from experiments.build import build
from experiments.config_file import load
from experiments.run import carry_out, main, prepare
from pavi.data.module import PlateBatches
from pavi.training.step_log import gradient_norms

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "debug" / "gre_affine.yaml"


def run(out: Path, home: Path, *more: str, **variables: str) -> str:
    """Run in a process that nobody has logged in; returns what it says."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(home), "NETRC": str(home / "netrc"), **variables}
    overrides = ["logger=wandb", "train.checkpoint_every=4", f"out={out}", *more]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", str(CONFIG), *overrides],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def read_csv(out: Path) -> list[dict[str, str]]:
    """What the first start of a run logged to its table."""
    with (out / "logs" / "version_0" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def metric_names(rows: list[dict[str, object]]) -> set[str]:
    """What was logged besides figures and the number of the step."""
    named = {name for row in rows for name in row if "/" in name and "figures" not in name}
    return named - {"trainer/global_step"}


def test_an_offline_run_is_what_the_csv_is_and_goes_on_as_itself(tmp_path):
    out = tmp_path / "run"
    assert "not logged in to W&B" in run(out, tmp_path, WANDB_RUN_ID="given")
    (first,) = out.glob("wandb/offline-run-*/*.wandb")
    run_id, config, rows = read(first)
    assert run_id == "given"
    assert config["problem"]["groups"] == 12
    metrics = json.loads((out / "metrics.json").read_text())
    for name in ("elbo", "gap", "num_parameters"):
        assert values(rows, f"final/{name}") == [metrics[name]]
    assert values(rows, "val/gap") == [metrics["gap"]]
    for name in ("figures/elbo", "figures/gap"):
        (image,) = (row[f"{name}/path"] for row in rows if f"{name}/path" in row)
        assert (first.parent / "files" / image).is_file()

    plain = tmp_path / "csv"
    carry_out(prepare(load(CONFIG, ["train.checkpoint_every=4", f"out={plain}"])))
    lines = read_csv(plain)
    assert metric_names(rows) == {name for name in lines[0] if "/" in name}
    for name in ("train/elbo", "grad_norm/tables", "plates/group/batch"):
        assert values(rows, name) == values(lines, name)
    assert values(rows, "trainer/global_step")[:10] == values(lines, "step")[:10]

    # As if it had been killed after the checkpoint of step 8, on another machine.
    (out / "metrics.json").unlink()
    (out / "provenance.json").write_text(json.dumps({"run_id": "other"}))
    run(out, tmp_path, WANDB_MODE="offline", WANDB_RUN_ID="third")
    (second,) = set(out.glob("wandb/offline-run-*/*.wandb")) - {first}
    run_id, _, more = read(second)
    assert run_id == "given"
    assert values(more, "train/elbo") == values(rows, "train/elbo")[8:]
    assert json.loads((out / "metrics.json").read_text())["elbo"] == metrics["elbo"]


def test_two_devices_log_as_one_run_what_they_find_on_average(tmp_path):
    out, plain = tmp_path / "run", tmp_path / "one"
    devices = ["trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu"]
    run(out, tmp_path, *devices, WANDB_MODE="offline")
    (file,) = out.rglob("*.wandb")
    _, held, rows = read(file)
    assert held["trainer"]["devices"] == 2
    steps = [row["trainer/global_step"] for row in rows if "train/elbo" in row]
    assert steps == list(range(10))
    carry_out(prepare(load(CONFIG, [f"out={plain}"])))
    assert metric_names(rows) == {name for name in read_csv(plain)[0] if "/" in name}
    metrics = json.loads((out / "metrics.json").read_text())
    for name in ("elbo", "gap", "num_parameters"):
        assert values(rows, f"final/{name}") == [metrics[name]]

    # The first step, by hand: that of a rank is a function of the seed and of its number.
    config = load(CONFIG, [])
    experiment = build(config)
    module, stream = experiment.module, experiment.stream
    module.guide.standardise(stream.reference())
    found = []
    for rank in (0, 1):
        batches = PlateBatches(
            experiment.data, batch=experiment.batch, seed=config.seed, rank=rank
        )
        emphasis = module.warm_up.emphasis(0.0)
        found.append(module.objective(module.guide, batches[0], emphasis=emphasis).loss)
    assert abs(found[0] - found[1]) > 1
    loss = torch.stack(found).mean()
    loss.backward()
    first, elbo = rows[0], -loss.item()
    latents = experiment.model.num_latents(experiment.data.cardinalities)
    assert float(first["train/elbo"]) == pytest.approx(elbo)
    assert float(first["train/elbo_per_latent"]) == pytest.approx(elbo / latents)
    for part, norm in gradient_norms(module.guide).items():
        assert float(first[f"grad_norm/{part}"]) == pytest.approx(float(norm))


@pytest.mark.slow
def test_without_a_network_a_run_ends_offline_and_complete(tmp_path):
    out = tmp_path / "run"
    # An address that nobody answers from; `run` ends what hangs.
    said = run(out, tmp_path, WANDB_BASE_URL="http://10.255.255.1", WANDB_API_KEY="0" * 40)
    assert "W&B cannot be reached" in said
    assert "this run is logged offline" in said
    (file,) = out.glob("wandb/offline-run-*/*.wandb")
    _, _, rows = read(file)
    assert len(values(rows, "train/elbo")) == 10
    metrics = json.loads((out / "metrics.json").read_text())
    assert values(rows, "final/elbo") == [metrics["elbo"]]


@pytest.mark.parametrize("logger", ["csv", "wandb"])
def test_gaps_in_the_course_of_a_run_are_logged_at_their_own_steps(logger, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    given = ["course=8", "train.steps=100", "train.log_every=10", f"logger={logger}"]
    metrics = carry_out(prepare(load(CONFIG, [*given, f"out={tmp_path}"])))
    if logger == "csv":
        rows, step = read_csv(tmp_path), "step"
    else:
        (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
        (_, _, rows), step = read(file), "trainer/global_step"
    gaps = [row for row in rows if row.get("val/gap") not in (None, "")]
    course = metrics["course"]
    assert course["steps"] == [10, 14, 19, 27, 37, 52, 72, 100]
    # Steps are counted from zero, and the end of the run comes after the last.
    assert values(gaps, step) == [*(done - 1 for done in course["steps"]), 100]
    assert values(gaps, "val/gap") == [*course["gaps"], metrics["gap"]]
    assert len(values(rows, "train/elbo")) == 10


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WANDB_MODE": "offline", "WANDB_RUN_ID": "a/b"}, "Run ID cannot contain"),
        ({"WANDB_MODE": "offlin"}, "should be 'online', 'offline'"),
        ({"WANDB_MODE": "offline", "WANDB_PROJECT": "a/b"}, "Invalid project name 'a/b'"),
    ],
)
def test_a_logger_that_does_not_start_leaves_nothing(
    variables, message, tmp_path, capsys, monkeypatch
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert main([str(CONFIG), "logger=wandb", f"out={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err
    assert "error: logger=wandb cannot start: " in error
    assert message in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


def test_a_logger_that_does_not_start_leaves_an_earlier_run(tmp_path, monkeypatch):
    out = tmp_path / "run"
    arguments = [str(CONFIG), "logger=wandb", "train.checkpoint_every=4", f"out={out}"]
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert main(arguments) == 0
    (out / "metrics.json").unlink()
    monkeypatch.setenv("WANDB_MODE", "offlin")
    assert main(arguments) == 2
    assert (out / "checkpoints" / "step=8.ckpt").is_file()


@pytest.mark.parametrize("where", ["login", "init"])
def test_a_server_that_cannot_be_reached_is_not_waited_for(where, tmp_path, capsys, monkeypatch):
    class Started(Exception):
        pass

    modes = []

    def init(*, mode, settings, **_):
        modes.append(mode)
        assert settings.init_timeout == 30
        assert settings.finish_timeout > 0, "the end of a run would wait for ever"
        if mode == "online":
            raise wandb.errors.CommError("no such host\nand more")
        raise Started("offline")

    def login(**_):
        if where == "login":
            raise wandb.errors.AuthenticationError("no such host\nand more")
        return True

    for name in ("WANDB_MODE", "WANDB_INIT_TIMEOUT", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wandb, "init", init)
    monkeypatch.setattr(wandb, "login", login)
    assert main([str(CONFIG), "logger=wandb", f"out={tmp_path / 'run'}"]) == 2
    assert modes == (["offline"] if where == "login" else ["online", "offline"])
    error = capsys.readouterr().err
    assert "W&B cannot be reached (no such host); this run is logged offline." in error
