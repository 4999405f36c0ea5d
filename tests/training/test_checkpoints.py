"""Files in a folder of checkpoints that no run can go on from."""

from __future__ import annotations

import pytest
import torch

import pavi
from pavi.models import gaussian_random_effects
from pavi.training import check_checkpoint, latest_checkpoint


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
    path = tmp_path / "step=7.ckpt"
    path.write_bytes(junk)
    with pytest.raises(ValueError, match=r"step=7.ckpt( \(\d bytes\) cannot be| is not one of)"):
        check_checkpoint(path)


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
    path = tmp_path / "step=7.ckpt"
    torch.save(held, path)
    message = rf"step=7.ckpt is not one of a run, .* lacks \['{absent}.* Delete it, or choose"
    with pytest.raises(ValueError, match=message):
        check_checkpoint(path)
