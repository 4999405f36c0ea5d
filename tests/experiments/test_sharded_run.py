"""Runs of which every device has rows of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from config_files import AFFINE
from pytorch_lightning.utilities import rank_zero_only
from rich.console import Console

from experiments.config import ExperimentConfig
from experiments.config_file import load, load_as
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.generation import generate
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.parcellation.config import ParcellationConfig
from experiments.run import carry_out, main, prepare
from experiments.run_folder import RunFolder
from pavi import Posterior
from pavi.models import gaussian_random_effects

PARCELLATION = AFFINE.parents[1] / "hcp_like" / "small.yaml"
SHARDED = ("trainer.shard=group", "trainer.accelerator=cpu")


def test_two_devices_end_with_the_posterior_of_all_groups(tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "experiments.run", str(AFFINE), f"out={out}"]
    finished = subprocess.run(
        [*command, *SHARDED, "trainer.devices=2", "train.batch.group=2"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    checkpoint = out / "checkpoints" / "step=10.ckpt"
    rows = {path.name for path in (checkpoint / "rows").iterdir()}
    assert rows == {".metadata", "__0_0.distcp", "__1_0.distcp"}
    posterior = Posterior.load(out / "posterior", gaussian_random_effects())
    groups = load(AFFINE).problem.groups
    assert posterior.sample("mu_g", draws=3).shape == (3, groups, 2)


def test_one_device_is_a_shard_of_its_own(tmp_path):
    names = ("elbo", "gap", "batch", "num_parameters")
    one = carry_out(prepare(load(AFFINE, [*SHARDED, f"out={tmp_path / 'one'}"])))
    other = carry_out(prepare(load(AFFINE, [f"out={tmp_path / 'other'}"])))
    assert {name: one[name] for name in names} == {name: other[name] for name in names}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.shard=class"], r"shard='class' is not a plate; plates are \['group', 'obs'\]"),
        (
            [*SHARDED, "trainer.devices=64"],
            "64 ranks cannot share the 12 rows of plate 'group', .* use at most 12 devices",
        ),
        (
            [*SHARDED, "trainer.devices=2", "trainer.nodes=3"],
            "each of 6 ranks draws 4 .* rank has 2; use fewer devices, or draw at most 2 rows",
        ),
        ([*SHARDED, "guide.name=uivi"], "needs a PlateAmortizedGuide"),
        ([*SHARDED, "course=3"], "course=3 measures the gap of a guide of all rows"),
    ],
)
def test_what_cannot_be_sharded_is_told_before_anything_is_written(
    overrides, message, tmp_path, capsys
):
    assert main([str(AFFINE), f"out={tmp_path / 'run'}", *overrides]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("config", [AFFINE, PARCELLATION])
def test_processes_that_the_run_does_not_have_are_refused(config, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main([str(config), f"out={tmp_path / 'run'}"]) == 2
    said = capsys.readouterr().err
    assert "torchrun started 2 processes, and trainer.devices=1 times trainer.nodes=1 is 1" in said
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("rank", "lines"), [(0, 1), (1, 0)])
def test_of_a_complete_run_the_first_rank_alone_tells(rank, lines, tmp_path, capsys, monkeypatch):
    # Lightning keeps the rank of the process for good, and loggers go by it.
    monkeypatch.setattr(rank_zero_only, "rank", 0)

    def by_torchrun(rank):
        for name, value in (("TORCHELASTIC_RUN_ID", "none"), ("WORLD_SIZE", "2")):
            monkeypatch.setenv(name, value)
        for name in ("RANK", "LOCAL_RANK"):
            monkeypatch.setenv(name, str(rank))

    cohort = CohortConfig(subjects=4, vertices=256, surface=SurfaceChoice.SPHERE)
    generate(cohort, tmp_path / "cohort", jobs=1, console=Console(quiet=True))
    two = ("trainer.accelerator=cpu", "trainer.devices=2", "trainer.strategy=ddp")
    small = [f"cohort={tmp_path / 'cohort'}", "train.batch.subject=2", "train.batch.vertex=64"]
    for config, more in ((AFFINE, ["train.batch.group=2"]), (PARCELLATION, small)):
        out = tmp_path / config.stem
        given = [f"out={out}", *two, *more]
        kind = ParcellationConfig if config is PARCELLATION else ExperimentConfig
        RunFolder(out).create(load_as(kind, config, given), {"run_id": "0"})
        RunFolder(out).write_metrics({"elbo": 1.0})
        by_torchrun(rank)
        assert main([str(config), *given]) == 0
        said = capsys.readouterr().out.splitlines()
        assert [json.loads(line)["elbo"] for line in said] == [1.0] * lines


def test_only_a_sharded_run_goes_on_on_other_devices(tmp_path):
    sharded, other = tmp_path / "sharded", tmp_path / "other"
    for out, overrides in ((sharded, SHARDED), (other, SHARDED[1:])):
        folder = RunFolder(out)
        folder.create(load(AFFINE, [f"out={out}", *overrides]), {})
        more = load(AFFINE, [f"out={out}", *overrides, "trainer.devices=2"])
        if out is sharded:
            folder.check(more)
        else:
            with pytest.raises(ValueError, match="trainer.devices is 1 there and 2 here"):
                folder.check(more)
