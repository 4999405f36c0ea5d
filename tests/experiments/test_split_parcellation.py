"""A parcellation whose subjects are split over two ranks is that of one process."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch.testing import assert_close

from experiments.config_file import load_as
from experiments.ends import exit_code
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.generation import generate
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.ranks import Ranks
from experiments.parcellation.run import carry_out, prepare
from experiments.parcellation.run_files import RunFiles
from experiments.run_folder import RunFolder
from pavi.data.stores import MemmapStore
from pavi.training import ProcessLostError, RankError

SMALL = Path(__file__).parents[2] / "configs" / "hcp_like" / "small.yaml"
WRITTEN = Path(__file__).parent / "written_by_ranks.py"
SUBJECTS = 7  # four and three
PASSES = 2
# An update of Adam is as long as the rate, here below the last bit of a weight: nothing is learned.
STILL = ("train.steps=1", "train.learning_rate=1e-12", "train.network_rate=1e-12")
FREE = "encodings.name=free"
SPLIT = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.shard=subject")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort")
    config = CohortConfig(subjects=SUBJECTS, vertices=256, surface=SurfaceChoice.SPHERE)
    generate(config, folder, jobs=1, console=Console(quiet=True))
    return folder


def options(cohort, out, *overrides):
    batch = ("train.batch.subject=3", "train.batch.vertex=64")
    devices = ("trainer.accelerator=cpu", f"start.passes={PASSES}")
    return [f"cohort={cohort}", f"out={out}", *devices, *batch, *overrides]


def on_one_process(cohort, out, *overrides, start=None):
    config = load_as(ParcellationConfig, SMALL, options(cohort, out, *overrides))
    if start is not None:
        RunFolder(out).create(config, {"run_id": "0"})
        RunFiles(out).write_start(PASSES, start)
    return carry_out(prepare(config))


def on_two(cohort, out, *overrides):
    finished = subprocess.run(
        [
            sys.executable,
            "-m",
            "experiments.run",
            SMALL,
            *options(cohort, out, *overrides, *SPLIT),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout.splitlines()[-1])["out"] == str(out)
    return json.loads((out / "metrics.json").read_text())


def labels(out):
    store = MemmapStore.open(out / "labels")
    store.verify(progress=False)
    return np.load(out / "labels" / "values.npy").astype(np.float64)


@pytest.fixture(scope="module")
def still(cohort, tmp_path_factory):
    """Free encodings where they begin: on one process, and where each rank has its own rows."""
    out = tmp_path_factory.mktemp("still")
    one = on_one_process(cohort, out / "one", FREE, *STILL)
    two = on_two(cohort, out / "two", FREE, *STILL)
    return out / "one", one, out / "two", two


def test_the_start_of_two_ranks_is_that_of_one_process(still):
    one, _, two, _ = still
    expected = RunFiles(one).start(PASSES)
    for name, value in vars(RunFiles(two).start(PASSES)).items():
        assert torch.equal(value, getattr(expected, name)), name


def test_encodings_of_the_subjects_of_all_ranks_are_those_of_one_process(still):
    one, _, two, _ = still
    expected, found = (load_file(out / "weights.safetensors") for out in (one, two))
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        # They are computed in single precision from the same summaries, in batches of other sizes.
        assert_close(found[name], value, rtol=1e-5, atol=1e-6)
    assert any(len(value) == SUBJECTS * 256 for value in found.values())


def test_the_posterior_that_ranks_write_is_that_of_one_process(still):
    one, expected, two, found = still
    # Half precision on the disk: numbers that are nearly equal may be stored as neighbours.
    np.testing.assert_allclose(labels(two), labels(one), rtol=2**-9, atol=1e-5)
    elbos = [load_file(out / "elbo.safetensors") for out in (one, two)]
    for name in ("subjects", "shared"):
        assert_close(elbos[1][name], elbos[0][name], rtol=1e-5, atol=0.1)
    groups = [load_file(out / "group.safetensors") for out in (one, two)]
    assert_close(groups[1]["probabilities"], groups[0]["probabilities"], rtol=1e-4, atol=1e-5)
    same = ("networks", "dice", "label_logits", "latents", "num_parameters", "oracle_accuracy")
    assert {name: found[name] for name in same} == {name: expected[name] for name in same}
    # One in a thousand labels may be a tie that rounding breaks.
    assert found["subject_accuracy"] == pytest.approx(expected["subject_accuracy"], abs=1 / 256)
    assert found["ece"] == pytest.approx(expected["ece"], abs=1e-3)
    counts = [np.asarray(run["reliability"]["count"]).sum() for run in (expected, found)]
    assert counts[0] == counts[1]


def last_row(out, version):
    with (out / "logs" / f"version_{version}" / "metrics.csv").open() as file:
        return list(csv.DictReader(file))[-1]


def test_the_first_of_two_ranks_logs_the_end_of_a_run(still):
    _, _, two, found = still
    assert [path.name for path in (two / "logs").iterdir()] == ["version_0"]
    row = last_row(two, 0)
    assert row["step"] == "1"
    for name in ("elbo", "accuracy", "ece", "peak_rss_gb", "minutes_fit"):
        assert float(row[f"final/{name}"]) == found[name]
    dice = [float(row[f"final/dice/{network}"]) for network in range(len(found["dice"]))]
    assert dice == found["dice"]


def test_a_split_run_goes_on_with_what_another_rank_lost(cohort, still):
    _, _, two, found = still
    held = labels(two)
    (two / "metrics.json").unlink()
    elbo = load_file(two / "elbo.safetensors")
    elbo["subjects"][[1, 5]] = torch.nan  # one of each rank
    RunFiles(two).write_tensors("elbo", elbo)
    again = on_two(cohort, two, FREE, *STILL)
    assert np.array_equal(labels(two), held)
    for name in ("elbo", "accuracy", "ece", "dice"):
        assert again[name] == found[name]
    assert float(last_row(two, 1)["final/accuracy"]) == found["accuracy"]


def torchrun(cohort, out, *overrides, fails=-1):
    """A run on two ranks, whose fit is not split; who wrote which subjects lies beside it."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    devices = ("trainer.devices=2", "trainer.strategy=ddp")
    return subprocess.run(
        [
            *[sys.executable, *launch, WRITTEN, out.parent / f"{out.name}.said", str(fails)],
            *[SMALL, *options(cohort, out, *overrides, *devices)],
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def begun_on_two(cohort, fitted, out, *overrides):
    """The folder of a run on two ranks that have fitted what one process has."""
    given = options(cohort, out, *overrides, "trainer.devices=2", "trainer.strategy=ddp")
    config = load_as(ParcellationConfig, SMALL, given)
    RunFolder(out).create(config, {"run_id": "0"})
    for name in ("weights.safetensors", "history.json", "timings.json"):
        shutil.copy(fitted / name, out / name)
    RunFiles(out).write_start(PASSES, RunFiles(fitted).start(PASSES))


def test_ranks_that_do_not_split_the_fit_divide_the_posterior(cohort, still, tmp_path):
    one, expected, _, _ = still
    begun_on_two(cohort, one, tmp_path / "run", FREE, *STILL)
    finished = torchrun(cohort, tmp_path / "run", FREE, *STILL)
    assert finished.returncode == 0, finished.stderr
    written = [(tmp_path / f"run.said.{rank}").read_text().split() for rank in (0, 1)]
    assert written == [["0", "1", "2", "3"], ["4", "5", "6"]]
    assert np.array_equal(labels(tmp_path / "run"), labels(one))
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    for name in ("elbo", "accuracy", "ece", "dice"):
        assert found[name] == expected[name]


def test_what_one_rank_cannot_write_ends_both_with_its_message(cohort, still, tmp_path):
    one, *_ = still
    begun_on_two(cohort, one, tmp_path / "run", FREE, *STILL)
    finished = torchrun(cohort, tmp_path / "run", FREE, *STILL, fails=5)
    assert finished.returncode == 1
    # By both, and not by one that has lost the other.
    assert finished.stderr.count("error: rank 1: OSError: [Errno 5] Input/output error") == 2
    assert not (tmp_path / "run" / "metrics.json").exists()


def test_a_run_does_not_go_on_with_other_data(cohort, tmp_path):
    shutil.copytree(cohort, tmp_path / "cohort")
    on_one_process(tmp_path / "cohort", tmp_path / "run", *STILL)
    (tmp_path / "run" / "metrics.json").unlink()
    (tmp_path / "run" / "weights.safetensors").unlink()
    other = CohortConfig(subjects=SUBJECTS, vertices=256, surface=SurfaceChoice.SPHERE, seed=1)
    shutil.rmtree(tmp_path / "cohort")
    generate(other, tmp_path / "cohort", jobs=1, console=Console(quiet=True))
    with pytest.raises(
        ValueError, match=r"run holds a run on other data: the store .*cohort/x is"
    ):
        on_one_process(tmp_path / "cohort", tmp_path / "run", *STILL)
    shutil.rmtree(tmp_path / "cohort")
    shutil.copytree(cohort, tmp_path / "cohort")
    assert on_one_process(tmp_path / "cohort", tmp_path / "run", *STILL)["label_logits"] > 0


@pytest.mark.parametrize("ask", [lambda r: r.sum(torch.ones(2)), lambda r: r.together(dict)])
def test_the_loss_of_a_rank_is_told_outside_of_the_fit_too(ask, monkeypatch):
    def lose(_):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:537] Connection closed by peer")

    for name in ("sum_over_ranks", "on_every_rank"):
        monkeypatch.setattr(f"experiments.parcellation.ranks.{name}", lose)
    with pytest.raises(ProcessLostError, match="was lost outside of the steps of its fit .*peer"):
        ask(Ranks(0, 2))


def test_what_fails_on_one_rank_ends_all_without_a_traceback(capsys):
    def run():
        raise RankError("rank 1: OSError: Input/output error")

    assert exit_code(run, where=lambda: "All is kept.", command=[]) == 1
    assert capsys.readouterr().err == "error: rank 1: OSError: Input/output error\nAll is kept.\n"


@pytest.mark.slow
def test_a_fit_of_two_ranks_ends_as_near_to_one_process_as_another_fit_of_it(cohort, tmp_path):
    """All begin alike, differ by the rows and the noise of their steps, and are drawn from alike.

    With the variance s^2 of the ends of fits on one process, those of two such fits differ by
    2 s^2. A step of two ranks averages two batches, which leaves s^2 / 2 of its own, and so a
    difference of 3/2 s^2: less than that of the two fits by a factor of 0.87 in its root. Both
    differences are of few directions, as many as there are shared weights that matter: hence 1.5.
    """
    steps = "train.steps=300"
    one = on_one_process(cohort, tmp_path / "one", steps)
    start = RunFiles(tmp_path / "one").start(PASSES)
    on_one_process(cohort, tmp_path / "fitted", steps, "seed=1", start=start)
    drawn_alike(cohort, tmp_path / "fitted", tmp_path / "other", steps)
    two = on_two(cohort, tmp_path / "two", steps)
    first, other, split = (labels(tmp_path / name) for name in ("one", "other", "two"))
    noise = np.sqrt(np.square(other - first).mean())
    assert np.sqrt(np.square(split - first).mean()) < 1.5 * noise
    # No more labels can be right here and wrong there than differ.
    assert abs(two["accuracy"] - one["accuracy"]) <= (split.argmax(-1) != first.argmax(-1)).mean()
    assert (split.argmax(-1) != first.argmax(-1)).mean() < 2 * max(
        (other.argmax(-1) != first.argmax(-1)).mean(), 1 / 256
    )


def drawn_alike(cohort, fitted, out, *overrides):
    """The posterior of a fit of another seed, with the draws of the seed of the others."""
    config = load_as(ParcellationConfig, SMALL, options(cohort, out, *overrides))
    RunFolder(out).create(config, {"run_id": "0"})
    for name in ("weights.safetensors", "history.json", "timings.json"):
        shutil.copy(fitted / name, out / name)
    RunFiles(out).write_start(PASSES, RunFiles(fitted).start(PASSES))
    carry_out(prepare(config))
