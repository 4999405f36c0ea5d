"""The launch files: several ranks of a node, two nodes, and a Slurm job that is stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "configs" / "launch"
RUN = (
    "configs/debug/gre_affine.yaml",
    "trainer.shard=group",
    "trainer.accelerator=cpu",
    "train.batch.group=2",
)
# What Slurm has on its nodes.
STUBS = {
    "srun": 'while [[ "$1" == --* ]]; do shift; done; exec "$@"',
    "scontrol": '[ "$1" = show ] && echo localhost || echo "$@" > "$REQUEUED"',
}


@pytest.fixture
def start():
    """Starts launch files; what still runs in the end, as after a failed test, is killed."""
    running = []

    def started(script, *overrides, **variables):
        process = subprocess.Popen(
            ["bash", LAUNCH / script, *RUN, *overrides],
            cwd=ROOT,
            env={**os.environ, "PYTHON": sys.executable, "RESTARTS": "0", **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield started
    for process in running:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def finished(process):
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def free_port():
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]


def test_two_nodes_are_one_run(tmp_path, start):
    nodes = {"NODES": "2", "DEVICES": "1", "RENDEZVOUS": f"localhost:{free_port()}"}
    for process in [start("node.sh", f"out={tmp_path / 'run'}", **nodes) for _ in range(2)]:
        finished(process)
    files = {path.name for path in (tmp_path / "run/checkpoints/step=10.ckpt/rows").iterdir()}
    assert files == {".metadata", "__0_0.distcp", "__1_0.distcp"}
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["steps"] == 10


@pytest.fixture
def slurm(tmp_path):
    """The variables of a job of one node, and stubs of what it calls."""
    for name, text in STUBS.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_JOB_NODELIST": "localhost",
        "SLURM_JOB_ID": "7",
        "DEVICES": "2",
        "PORT": str(free_port()),
        "REQUEUED": str(tmp_path / "requeued"),
    }


def test_a_job_that_is_stopped_is_queued_again_and_goes_on(tmp_path, slurm, start):
    run = tmp_path / "run"
    settings = (f"out={run}", "train.steps=300", "train.checkpoint_every=1000")
    job = start("slurm.sbatch", *settings, **slurm)
    while not list(run.glob("logs/*/metrics.csv")) and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(signal.SIGTERM)
    finished(job)
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    (kept,) = (run / "checkpoints").iterdir()
    assert 0 < int(kept.stem.removeprefix("step=")) < 300
    output = finished(start("slurm.sbatch", *settings, **{**slurm, "SLURM_RESTART_COUNT": "1"}))
    assert f"going on from {kept}" in output
    assert json.loads((run / "metrics.json").read_text())["steps"] == 300
