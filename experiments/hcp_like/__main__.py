"""A synthetic cohort on the human cortex, as large as the paper's.

python -m experiments.hcp_like generate --subjects 1000 --out DIR --jobs 2
python -m experiments.hcp_like generate --subjects 50 --vertices 2048 --surface sphere --out DIR
python -m experiments.hcp_like calibrate

Commands import what they need: the processes that draw subjects load this file, and not torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import SurfaceChoice, surface
from pavi.files import DiskFullError

ACCURACY = 0.85  # of the oracle, which the noise is calibrated to


def generate(parsed: argparse.Namespace) -> None:
    """Write a cohort."""
    from experiments.hcp_like.generation import generate as write

    config = CohortConfig(
        subjects=parsed.subjects,
        vertices=parsed.vertices,
        sessions=parsed.sessions,
        dim=parsed.dim,
        seed=parsed.seed,
        surface=SurfaceChoice(parsed.surface),
    )
    begin = time.perf_counter()
    console = Console(stderr=True)
    cohort = write(config, parsed.out, jobs=parsed.jobs, console=console, repair=parsed.repair)
    line = {
        "folder": str(parsed.out),
        "seconds": round(time.perf_counter() - begin, 1),
        "oracle_accuracy": round(float(cohort.truth.oracle_accuracy.mean()), 4),
        "map_accuracy": round(float(cohort.truth.map_accuracy.mean()), 4),
    }
    print(json.dumps(line))


def calibrate(parsed: argparse.Namespace) -> None:
    """Find the noise with which the oracle is as right as it is to be."""
    from experiments.hcp_like.calibration import calibrated_noise

    config = CohortConfig(surface=SurfaceChoice(parsed.surface), vertices=parsed.vertices)
    if terms := surface(config.surface, config.vertices).terms:
        print(terms, file=sys.stderr)
    found = calibrated_noise(
        config, accuracy=ACCURACY, seeds=range(parsed.seeds), subjects=parsed.subjects
    )
    for noise, accuracy in found:
        print(json.dumps({"noise": round(noise, 4), "oracle_accuracy": round(accuracy, 4)}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0, 1 if the disk is full, 2 if what was asked for is wrong, 130 on Ctrl-C.
    """
    default = CohortConfig()
    parser = argparse.ArgumentParser(
        prog="python -m experiments.hcp_like", description="An HCP-like cohort."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    making = commands.add_parser("generate", help="write a cohort; goes on if interrupted")
    making.add_argument("--out", type=Path, required=True, help="its folder")
    for name in ("subjects", "vertices", "sessions", "dim", "seed"):
        making.add_argument(f"--{name}", type=int, default=getattr(default, name))
    making.add_argument("--jobs", type=int, default=1, help="processes that draw subjects")
    making.add_argument(
        "--repair", action="store_true", help="verify what is there, write damaged subjects again"
    )
    making.set_defaults(command=generate)

    setting = commands.add_parser("calibrate", help="find the noise for an oracle of 85%%")
    setting.add_argument("--vertices", type=int, default=default.vertices)
    setting.add_argument("--seeds", type=int, default=6, help="cohorts")
    setting.add_argument("--subjects", type=int, default=4, help="of each cohort")
    setting.set_defaults(command=calibrate)

    for command in (making, setting):
        command.add_argument(
            "--surface",
            choices=[choice.value for choice in SurfaceChoice],
            default=default.surface.value,
            help="the human cortex, which needs the extra hcp, or a synthetic sphere",
        )

    parsed = parser.parse_args(arguments)
    try:
        parsed.command(parsed)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except DiskFullError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is there.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
