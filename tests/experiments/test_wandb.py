"""Weights & Biases without a server, each run in a process of its own."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from wandb.proto.wandb_internal_pb2 import Record

ROOT = Path(__file__).parents[2]
HEADER, RECORD = 7, struct.Struct("<IHB")  # of the file; checksum, length and kind of a record


def records(file: Path) -> Iterator[Record]:
    """The records of a W&B file of less than one block."""
    content = file.read_bytes()
    assert len(content) < 2**15
    position = HEADER
    while position < len(content):
        _, length, _ = RECORD.unpack_from(content, position)
        position += RECORD.size
        record = Record()
        record.ParseFromString(content[position : position + length])
        yield record
        position += length


@pytest.mark.parametrize("mode", ["offline", None], ids=["offline", "not logged in"])
def test_a_run_without_a_server_is_logged_to_a_file(mode, tmp_path):
    out = tmp_path / "run"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    environment |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}
    if mode:
        environment["WANDB_MODE"] = mode
    config = "configs/debug/gre_affine.yaml"
    done = subprocess.run(
        [sys.executable, "-m", "experiments.run", config, "logger=wandb", f"out={out}"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert ("not logged in to W&B" in done.stderr) == (mode is None)
    (file,) = out.glob("wandb/offline-run-*/*.wandb")
    found = list(records(file))
    runs = [r.run for r in found if r.WhichOneof("record_type") == "run"]
    assert "problem" in {item.key for item in runs[0].config.update}
    rows = [r.history for r in found if r.WhichOneof("record_type") == "history"]
    logged = {key for row in rows for item in row.item for key in item.nested_key}
    assert {"train/elbo", "final/elbo", "final/gap"} <= logged
