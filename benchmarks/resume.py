"""Kill a run at random steps, resume it, and compare its parameters with an undisturbed one.

python -m benchmarks.resume --kills 3
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.progress import track
from safetensors.torch import load_file

import pavi
from benchmarks.report import report
from pavi.models import gaussian_random_effects
from pavi.training import latest_checkpoint

GROUPS, OBS, BATCH = 100, 10, {"group": 10}


def train(folder: Path, steps: int) -> None:
    """Fit with checkpoints in `folder`, going on from one that is there; save the posterior."""
    model = gaussian_random_effects()
    simulation = model.simulate({"group": GROUPS, "obs": OBS}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model)
    posterior = pavi.fit(
        model, data, batch=BATCH, steps=steps, checkpoints=folder / "checkpoints", progress=False
    )
    posterior.save(folder / "posterior")


def start(folder: Path, steps: int) -> subprocess.Popen[bytes]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.resume", "--train", str(folder)]
    return subprocess.Popen([*command, "--steps", str(steps)], stderr=subprocess.DEVNULL)


def survive(folder: Path, steps: int, kills: int, rng: random.Random) -> int:
    """Train to the end through `kills` kills with SIGKILL; how many of them hit a running fit."""
    hits = 0
    while hits < kills:
        process = start(folder, steps)
        before = latest_checkpoint(folder / "checkpoints")
        while latest_checkpoint(folder / "checkpoints") == before and process.poll() is None:
            time.sleep(0.01)
        # A new checkpoint is there; kill somewhere in the steps after it.
        time.sleep(rng.uniform(0.0, 1.0))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        hits += 1
    if not (folder / "posterior").exists() and start(folder, steps).wait() != 0:
        raise RuntimeError("the resumed run failed")
    return hits


def main() -> None:
    """Compare killed runs with an undisturbed one."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        train(arguments.train, arguments.steps)
        return
    with tempfile.TemporaryDirectory() as name:
        calm, killed = Path(name) / "calm", Path(name) / "killed"
        for _ in track(range(1), "undisturbed run", transient=True):
            if start(calm, arguments.steps).wait() != 0:
                raise RuntimeError("the undisturbed run failed")
        survived = survive(killed, arguments.steps, arguments.kills, random.Random(0))
        one, other = (
            load_file(folder / "posterior" / "weights.safetensors") for folder in (calm, killed)
        )
    difference = max(float((one[key] - other[key]).abs().max()) for key in one)
    identical = all(one[key].equal(other[key]) for key in one)
    report({"survived": survived, "max_difference": difference, "bit_identical": identical})


if __name__ == "__main__":
    main()
