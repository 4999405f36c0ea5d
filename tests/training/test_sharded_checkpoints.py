"""Checkpoints of sharded runs: written by some ranks, read by others, damaged, of other runs."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from training.launching import launch
from training.resuming_processes import RUN, SCHEME, module_of, run
from training.sharded_processes import SCHEMES, data_of

import pavi
from pavi.data import Shard
from pavi.files import DiskFullError
from pavi.training import checkpoint_to_resume, latest_checkpoint
from pavi.training.sharded_files import read_sharded
from pavi.training.sharded_state import sharded_state

SCRIPT = Path(__file__).parent / "resuming_processes.py"
KINDS = ("value", "memory")


def ended(ranks, out, *stages):
    """What every rank had at the end of each stage."""
    launch(SCRIPT, out, *stages, ranks=ranks)
    return {
        stage: [torch.load(out / f"{stage.replace(':', '.')}.{rank}.pt") for rank in range(ranks)]
        for stage in stages
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What ranks had in the end, by the number of ranks and the stage, and where they wrote it."""
    out = tmp_path_factory.mktemp("runs")
    one = {"one:4": [run(out / "one", 4, rank=0, ranks=1)]}
    shutil.copytree(out / "one", out / "more")
    two = ended(2, out, "whole:8", "two:4", "again:4", "again:8", "more:8")
    for copy in ("four", "alone"):
        shutil.copytree(out / "two", out / copy)
    four = ended(4, out, "four:8")
    one["alone:8"] = [run(out / "alone", 8, rank=0, ranks=1)]
    return {1: one, 2: two, 4: four}, out


def shards(ranks):
    plate = SCHEMES[SCHEME][2]
    return [Shard.of(data_of(SCHEME), plate, rank=rank, ranks=ranks) for rank in range(ranks)]


def whole(site, parts, values):
    """The rows of a site of all ranks, in the order of the data."""
    split = parts[0].on(parts[0].data.model.sites[site].plates)
    found = torch.full((parts[0].cardinalities[split], values[0].shape[-1]), torch.nan).double()
    for part, value in zip(parts, values, strict=True):
        found[part.rows[split]] = value.double()
    assert found.isfinite().all()
    return found


def rows_in(ranks, states):
    """Everything that is owned, in the order of the data, from what each rank has."""
    parts = shards(ranks)
    found = {}
    for number, site in enumerate(("a", "b")):
        tables = [group for group in states[0]["optimizer"]["param_groups"] if group["rows"]]
        index = tables[0]["params"][number]
        for kind in KINDS:
            values = [
                state["state"][f"encoder._tables.{site}"]
                if kind == "value"
                else state["optimizer"]["state"][index][kind]
                for state in states
            ]
            found[site, kind] = whole(site, parts, values)
    return found


def read_as(ranks, path):
    """The states that so many ranks read from a checkpoint."""
    found = []
    for rank in range(ranks):
        module, _ = module_of(rank, ranks)
        held = read_sharded(path, sharded_state(module, module.guide, module.sharding))
        state = {k.removeprefix("guide."): v for k, v in held["state_dict"].items()}
        found.append({"state": state, "optimizer": held["optimizer_states"][0]})
    return found


@pytest.mark.parametrize("readers", [1, 2, 4])
@pytest.mark.parametrize(("writers", "stage"), [(1, "one:4"), (2, "two:4"), (4, "four:8")])
def test_any_number_of_ranks_reads_what_another_wrote(runs, writers, stage, readers):
    states, out = runs
    folder, step = stage.split(":")
    written = rows_in(writers, states[writers][stage])
    read = read_as(readers, out / folder / f"step={step}.ckpt")
    for key, value in rows_in(readers, read).items():
        assert torch.equal(value, written[key]), key
    for name, value in states[writers][stage][0]["state"].items():
        if "_tables." not in name:
            assert all(torch.equal(state["state"][name], value) for state in read)


@pytest.mark.parametrize(
    ("ranks", "stage"), [(2, "again:8"), (2, "more:8"), (4, "four:8"), (1, "alone:8")]
)
def test_a_run_goes_on_from_the_same_step_on_any_number_of_ranks(runs, ranks, stage):
    states, _ = runs
    assert all(state["steps"] == [5, 6, 7, 8] for state in states[ranks][stage])


def test_a_resumed_run_ends_like_an_undisturbed_one(runs):
    states, _ = runs
    for resumed, undisturbed in zip(states[2]["again:8"], states[2]["whole:8"], strict=True):
        for part in ("state", "clipping"):
            for name, value in undisturbed[part].items():
                assert torch.equal(resumed[part][name], value), name


@pytest.fixture
def folder(runs, tmp_path):
    """Checkpoints of steps 3 and 4, written by two ranks."""
    _, out = runs
    return Path(shutil.copytree(out / "two", tmp_path / "two"))


def shorten(file):
    file.write_bytes(file.read_bytes()[:-1])


def test_a_shortened_file_is_named_and_the_checkpoint_before_is_taken(folder, capsys):
    shorten(folder / "step=4.ckpt" / "rows" / "__1_0.distcp")
    assert checkpoint_to_resume(folder, run=RUN) == folder / "step=3.ckpt"
    said = capsys.readouterr().err
    assert "step=4.ckpt is damaged: its file rows/__1_0.distcp has" in said
    assert "Going on from the one before" in said


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: shorten(path / "common.ckpt"), r"common.ckpt has [\d,]+ of [\d,]+ bytes"),
        (lambda path: (path / "rows" / "__0_0.distcp").unlink(), "__0_0.distcp is absent"),
        (lambda path: (path / "manifest.json").unlink(), "its manifest.json cannot be read"),
        (lambda path: (path / "manifest.json").write_text("{}"), "manifest.json cannot be read"),
    ],
)
def test_where_none_is_whole_this_is_an_error(folder, harm, message):
    for path in folder.iterdir():
        harm(path)
    with pytest.raises(ValueError, match=message):
        checkpoint_to_resume(folder, run=RUN)


def test_an_altered_file_is_named_before_the_first_step(folder):
    path = folder / "step=4.ckpt" / "rows" / "__0_0.distcp"
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 1
    path.write_bytes(altered)
    with pytest.raises(ValueError, match=r"rows/__0_0.distcp is not what .* \['step=3.ckpt'\]"):
        run(folder, 5, rank=0, ranks=1)


def test_what_an_interrupted_checkpoint_left_is_removed(folder):
    left = folder / ".step=5.ckpt.0123abcd.part"
    shutil.copytree(folder / "step=4.ckpt", left)
    assert latest_checkpoint(folder) == folder / "step=4.ckpt"
    run(folder, 5, rank=0, ranks=1)
    assert sorted(path.name for path in folder.iterdir()) == ["step=4.ckpt", "step=5.ckpt"]


def test_a_run_that_is_not_sharded_does_not_go_on_from_a_folder(folder):
    data = data_of(SCHEME)
    guide = pavi.PlateAmortizedGuide(data.model, data.cardinalities).double()
    with pytest.raises(ValueError, match=r"step=4.ckpt is a folder, of a sharded run; go on with"):
        pavi.training.train(
            pavi.VariationalInference(guide),
            pavi.PlateDataModule(data),
            steps=5,
            checkpoints=folder,
        )


def settings(folder):
    return {"steps": 3, "checkpoints": folder, "progress": False, "shard": "lea"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"encodings": pavi.HybridEncodings()}, "guide"),
    ],
)
def test_another_run_is_told_before_any_work(tmp_path, change, message):
    data = data_of(SCHEME)
    pavi.fit(data.model, data, **settings(tmp_path))
    with pytest.raises(ValueError, match=f"step=3.ckpt is of another run: .*{message}"):
        pavi.fit(data.model, data, **settings(tmp_path), **change)


def test_a_run_that_was_not_sharded_is_no_start_for_one_that_is(tmp_path):
    data = data_of(SCHEME)
    pavi.fit(data.model, data, **{**settings(tmp_path), "shard": None})
    with pytest.raises(
        ValueError, match=r"step=3.ckpt is one file, of a run that was not sharded"
    ):
        pavi.fit(data.model, data, **{**settings(tmp_path), "steps": 4})


def test_a_full_disk_leaves_the_checkpoints_that_are_there(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemWriter, "write_data", full)
    with pytest.raises(DiskFullError, match=r"step=5.ckpt could not be written"):
        run(folder, 6, rank=0, ranks=1)
    assert sorted(path.name for path in folder.iterdir()) == ["step=3.ckpt", "step=4.ckpt"]


def test_rows_of_other_data_are_told(folder):
    data = data_of(SCHEME).subset(lea=range(4))
    shard = Shard.of(data, "lea", rank=0, ranks=1)
    guide = pavi.PlateAmortizedGuide(data.model, shard.data.cardinalities).double()
    module = pavi.VariationalInference(guide, shard=shard)
    state = sharded_state(module, guide, module.sharding)
    with pytest.raises(
        ValueError, match=r"it has \(5,\) rows of site 'a', and the data .* \(4,\)"
    ):
        read_sharded(folder / "step=4.ckpt", state)
