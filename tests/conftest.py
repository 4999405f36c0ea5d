"""What holds for every test: one seed, and no test changes torch for the next one.

Nothing here may import `pavi`: pytest installs the import hook that checks its shapes later.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Distribution

GLOBAL_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "grad enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "deterministic algorithms": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "validation of distributions": (
        lambda: Distribution._validate_args,
        Distribution.set_default_validate_args,
    ),
    "number of threads": (torch.get_num_threads, torch.set_num_threads),
}


def pytest_configure(config: pytest.Config) -> None:
    """Let ArviZ, which nutpie imports, write its stamp of the day before any worker starts.

    It does so whenever it is imported first on a day, and of two workers that do it at once one
    fails to collect its tests.
    """
    if not hasattr(config, "workerinput"):
        command = [sys.executable, "-W", "ignore", "-c", "import arviz"]
        subprocess.run(command, capture_output=True, check=False)


@pytest.fixture(autouse=True)
def seed() -> None:
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def no_leaks() -> Iterator[None]:
    """Fail a test that leaves torch's global state changed, and put it back for the others."""
    before = {name: read() for name, (read, _) in GLOBAL_STATE.items()}
    yield
    leaks = []
    for name, (read, restore) in GLOBAL_STATE.items():
        if (after := read()) != before[name]:
            leaks.append(f"{name}: {before[name]} -> {after}")
            restore(before[name])
    if leaks:
        pytest.fail(f"the test changed global state of torch: {'; '.join(leaks)}", pytrace=False)
