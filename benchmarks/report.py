"""The one line of JSON with which every benchmark ends."""

from __future__ import annotations

import json
import platform
import resource
import sys
from collections.abc import Mapping

import torch

from experiments.provenance import version_of_code


def report(figures: Mapping[str, object]) -> None:
    """Print figures, rounded, with the machine and the version of the code."""
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
    }
    found = {name: _rounded(value) for name, value in figures.items()}
    print(json.dumps({**found, "machine": machine, "commit": version_of_code()}))


def peak_rss_gb() -> float:
    """The largest resident set of this process so far, in gigabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e9 if sys.platform == "darwin" else 1e6)


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
