"""The one line of JSON with which every benchmark ends."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping

import torch

from experiments.provenance import version_of_code


def report(figures: Mapping[str, object]) -> None:
    """Print figures, rounded, with the machine and the version of the code."""
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "loop_seconds": loop_seconds(),
    }
    found = {name: _rounded(value) for name, value in {**figures, "machine": machine}.items()}
    print(json.dumps({**found, "commit": version_of_code()}))


def loop_seconds() -> float:
    """The seconds of ten million additions in plain Python, by which days can be compared.

    They tell how fast the machine was when a benchmark ended: one that is shared with others
    may take three times as long as on a quiet day.
    """
    begin = time.perf_counter()
    total = 0
    for number in range(10_000_000):
        total += number
    return time.perf_counter() - begin


def _rounded(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _rounded(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value
