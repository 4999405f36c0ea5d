"""Files in a folder of checkpoints that no run can go on from."""

from __future__ import annotations

import errno
import shutil
from dataclasses import replace

import pytest
import torch

import pavi
from pavi.files import DiskFullError
from pavi.models import gaussian_random_effects
from pavi.objectives import CoolStart
from pavi.objectives.reduced_elbo import Gradient
from pavi.training import checkpoint_to_resume, latest_checkpoint
from pavi.training.optimization import Schedule


def test_the_latest_is_that_of_the_largest_step(tmp_path):
    assert latest_checkpoint(tmp_path / "none") is None
    for step in (9, 10, 8):
        (tmp_path / f"step={step}.ckpt").touch()
    assert latest_checkpoint(tmp_path) == tmp_path / "step=10.ckpt"


@pytest.mark.parametrize("name", ["last.ckpt", "step=last.ckpt", "step=7-v1.ckpt"])
def test_a_name_without_a_step_is_refused_before_the_fit(name, tmp_path):
    (tmp_path / "step=3.ckpt").touch()
    (tmp_path / name).touch()
    model = gaussian_random_effects()
    data = pavi.PlateData.from_arrays({"x": torch.zeros(2, 3, 2)}, model)
    message = rf"{name} is not named step=<number>.ckpt, .* Delete it, or choose another folder"
    with pytest.raises(ValueError, match=message):
        pavi.fit(model, data, steps=2, checkpoints=tmp_path, progress=False)


@pytest.mark.parametrize("junk", [b"", b"junk", b"PK\x03\x04", b"\x80\x02}q", b"()}.", bytes(9)])
def test_a_file_that_is_no_checkpoint_is_named(junk, tmp_path):
    (tmp_path / "step=7.ckpt").write_bytes(junk)
    message = r"step=7.ckpt \(\d bytes\) cannot be read; .* Delete it, or choose another folder"
    with pytest.raises(ValueError, match=message):
        checkpoint_to_resume(tmp_path)


@pytest.mark.parametrize(
    ("held", "absent"),
    [
        (torch.zeros(3), "pytorch-lightning_version"),
        (
            {"pytorch-lightning_version": "2.6.5", "global_step": 3, "state_dict": {}},
            "optimizer_st",
        ),
    ],
)
def test_a_file_of_torch_that_is_none_of_a_run_is_named(held, absent, tmp_path):
    torch.save(held, tmp_path / "step=7.ckpt")
    message = rf"step=7.ckpt .* is not one of a run, .* lacks \['{absent}.* Delete it, or choose"
    with pytest.raises(ValueError, match=message):
        checkpoint_to_resume(tmp_path)


def problem():
    model = gaussian_random_effects()
    simulation = model.simulate({"group": 6, "obs": 3}, seed=0)
    return model, pavi.PlateData.from_arrays(simulation.arrays, model)


def fit(folder, **changes):
    model, data = problem()
    settings = {"steps": 20, "batch": {"group": 2}, "progress": False, **changes}
    return pavi.fit(model, data, checkpoints=folder, **settings)


def equal(one, other):
    pairs = zip(one.guide.parameters(), other.guide.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def cut(content):
    return content[: len(content) // 2]


def flip(content):
    """One bit of the first tensor."""
    place = content.index(b"data/0") + 200
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("harm", [cut, flip])
def test_a_damaged_checkpoint_is_told_and_the_one_before_leads_to_the_same_end(
    harm, tmp_path, capsys
):
    calm = fit(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step=18.ckpt", "step=20.ckpt"]
    last = tmp_path / "step=20.ckpt"
    last.write_bytes(harm(last.read_bytes()))
    resumed = fit(tmp_path)
    said = capsys.readouterr().err
    assert "warning: checkpoint" in said
    assert "step=20.ckpt" in said
    assert "Going on from the one before." in said
    assert equal(calm, resumed)
    assert resumed.history["steps"] == calm.history["steps"]
    assert checkpoint_to_resume(tmp_path) == last
    for path in tmp_path.iterdir():
        path.write_bytes(harm(path.read_bytes()))
    with pytest.raises(ValueError, match=r"step=18.ckpt .* cannot be read; .*'step=20.ckpt'\]"):
        fit(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, "seed is 0 there and 1 here"),
        ({"encodings": pavi.FreeEncodings(8)}, "guide.encodings.dim is 16 there and 8 here"),
        ({"batch": {"group": 3}}, "batch.group is 2 there and 3 here"),
        (
            {"batch": {"group": 2, "obs": 2}, "blocks": {"obs": 2}},
            "batch.obs is None there and 2 here; blocks.obs is None there and 2 here",
        ),
        (
            {"optimization": pavi.Optimization(0.02, schedule=Schedule.CONSTANT)},
            "optimization.learning_rate is 0.03 there and 0.02 here; "
            "optimization.schedule is cosine there and constant here",
        ),
        (
            {"objective": pavi.ReducedELBO(draws=4, gradient=Gradient.REPARAM)},
            "objective.draws is 8 there and 4 here; "
            "objective.gradient is path there and reparam here",
        ),
        (
            {"warm_up": pavi.WarmUp((CoolStart(),))},
            r"warm_up is \[\] there and \['CoolStart\(until=0.15, noise=0.3\)'\] here",
        ),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused(changes, message, tmp_path):
    fit(tmp_path, steps=2)
    with pytest.raises(ValueError, match=f"step=2.ckpt is of another run: {message}. Delete it"):
        fit(tmp_path, **changes)


def test_a_checkpoint_of_other_plates_is_refused(tmp_path):
    fit(tmp_path, steps=2)
    model, data = problem()
    part = data.subset(group=[0, 1, 2])
    with pytest.raises(ValueError, match="plate sizes.group is 6 there and 3 here"):
        pavi.fit(model, part, steps=2, checkpoints=tmp_path, progress=False)


def test_a_checkpoint_of_other_values_is_refused(tmp_path):
    model, data = problem()
    pavi.fit(model, data, steps=2, checkpoints=tmp_path, progress=False)
    other = replace(data, values={"x": data.values["x"] + 1})
    with pytest.raises(ValueError, match=r"of another run: data.x is \w{16} there and \w{16} her"):
        pavi.fit(model, other, steps=2, checkpoints=tmp_path, progress=False)


def test_what_a_killed_run_left_unfinished_is_removed(tmp_path):
    (tmp_path / ".step=10.ckpt.01234567.part").write_bytes(b"half")
    fit(tmp_path, steps=2)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step=1.ckpt", "step=2.ckpt"]


def test_a_place_that_no_checkpoint_can_be_written_to_is_told_before_any_work(
    tmp_path, monkeypatch
):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="cannot be made: .*file is a file; choose another"):
        fit(tmp_path / "file" / "checkpoints")
    usage = shutil._ntuple_diskusage(10_000, 9_000, 1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(
        DiskFullError, match=r"step=2.ckpt could not .* takes [\d,]+ bytes, and 1,000"
    ):
        fit(tmp_path / "new")


def test_a_disk_that_fills_up_leaves_the_checkpoints_before(tmp_path, monkeypatch):
    save, calls = torch.save, []

    def full(held, stream):
        calls.append(1)
        if len(calls) == 3:
            stream.write(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(held, stream)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(DiskFullError, match=r"step=6.ckpt could not be written; it takes [\d,]+"):
        fit(tmp_path)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step=2.ckpt", "step=4.ckpt"]
    monkeypatch.undo()
    assert equal(fit(tmp_path), fit(tmp_path / "calm"))


def test_a_checkpoint_of_other_priors_is_refused(tmp_path):
    fit(tmp_path, steps=2)
    _, data = problem()
    wide = gaussian_random_effects(scales=(0.5, 2.0, 0.1))  # the same sites
    with pytest.raises(
        ValueError, match=r"step=2.ckpt is of another run: priors.mu_g is .* there"
    ):
        pavi.fit(wide, data, checkpoints=tmp_path, steps=20, progress=False)
