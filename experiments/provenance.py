"""Where a result comes from: the commit, the command, the versions and the machine."""

from __future__ import annotations

import os
import platform
import secrets
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch

from experiments.programs import jobs_beside

ROOT = Path(__file__).parents[1]
PACKAGES = ("pavi-torch", "torch", "pytorch-lightning", "zuko", "numpy", "omegaconf")


def provenance(*, seed: int | list[int], command: Sequence[str]) -> dict[str, object]:
    """What it takes to repeat a run, as plain values.

    Args:
        seed: Of the run, or those of its fits.
        command: The command line.
    """
    return {
        "run_id": secrets.token_hex(4),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "seed": seed,
        "jobs": jobs_beside(),
        "commit": _git("rev-parse", "HEAD"),
        "dirty": changed(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "machine": {
            "host": platform.node(),
            "platform": platform.platform(),
            "cpus": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpus": [
                torch.cuda.get_device_name(device) for device in range(torch.cuda.device_count())
            ],
        },
    }


def version_of_code() -> str:
    """The commit, briefly, and whether files differ from it; "unknown" outside of a clone."""
    commit = _git("rev-parse", "--short", "HEAD")
    return "unknown" if not commit else commit + ("+" if changed() else "")


def changed() -> bool | None:
    """Whether files differ from the commit, results aside; None outside of a clone."""
    status = _git("status", "--porcelain", "--", ".", ":(exclude)results")
    return None if status is None else bool(status)


def command_line(module: str, arguments: Sequence[str]) -> list[str]:
    """The command that runs a module of ours."""
    return [Path(sys.executable).name, "-m", module, *arguments]


def _git(*arguments: str) -> str | None:
    """What git says, or None outside a repository or without git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
