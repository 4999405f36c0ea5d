"""A few of the faults, as the benchmark tries them; where they strike is seeded."""

from __future__ import annotations

import json
import os
import subprocess
import sys


def test_runs_survive_kills_a_signal_and_a_full_disk():
    only = [
        "in checkpoint",
        "SIGTERM with grace",
        "disk full in a checkpoint",
        "checkpoint truncated",
        "in subject",
        "before the group",
    ]
    # A process of its own: runs are forked from it.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.faults", "--kills", "2", "--only", *only],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["tried"] + len(found["not_tried"]) == 6
    assert set(found["not_tried"]) <= {"disk full in a checkpoint"}  # it takes root
    assert found["survived"] == found["tried"]
    assert found["max_difference"] == 0
