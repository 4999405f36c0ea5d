"""Imports run one way. The tables below are the rules; the rest of the file reads the sources."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# What each layer of pavi may import, besides itself: whole layers, or one module of a layer.
BELOW_GUIDES = {"core", "nn", "flows", "encodings"}
BELOW_TRAINING = BELOW_GUIDES | {"files", "models", "data", "guides", "objectives", "metrics"}
EVERYTHING = BELOW_TRAINING | {"training", "diagnostics", "posterior", "fitting", "amortization"}
LAYERS = {
    "files": set(),
    "core": {"files"},
    "nn": set(),
    "models": {"core"},
    "data": {"core", "files", "lazy"},
    "flows": {"nn"},
    "encodings": {"core", "nn"},
    "guides": BELOW_GUIDES,
    "objectives": {"core", "guides.base"},
    "metrics": {"core", "data", "guides", "objectives"},
    "training": BELOW_TRAINING,
    "diagnostics": {"core", "data", "guides", "metrics"},
    "posterior": BELOW_TRAINING | {"training", "diagnostics"},
    "interop": {"core", "data", "guides", "posterior"},
    "fit_checks": EVERYTHING - {"fitting", "amortization"},
    "fit_identity": {"core", "guides", "posterior", "training"},
    "fitting": EVERYTHING | {"fit_checks", "fit_identity"},
    "amortization": EVERYTHING | {"fit_identity"},
    "cli": EVERYTHING,
    "__main__": {"cli"},
    "lazy": set(),
    "__init__": EVERYTHING | {"interop", "lazy"},
}

# What pavi may import from outside: the standard library and the runtime dependencies at the top
# of a file, optional ones inside the function that needs them, a few more only for their types.
DEPENDENCIES = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
RUNTIME = {re.match(r"[\w-]+", line)[0].replace("-", "_") for line in DEPENDENCIES}
ALWAYS = RUNTIME | sys.stdlib_module_names
OPTIONAL = {
    "arviz",
    "arviz_base",
    "arviz_stats",
    "h5py",
    "matplotlib",
    "nibabel",
    "nutpie",
    "pandas",
    "pyro",
    "xarray",
    "zarr",
}
TYPES_ONLY = OPTIONAL

# Who knows Lightning, always as `import pytorch_lightning as pl`; nobody imports `lightning`.
LIGHTNING = re.compile(r"pavi/(data/(simulated_)?module|fitting|training/.*)\.py")


@dataclass(frozen=True)
class Import:
    """One imported name, dotted and absolute, and where it stands."""

    name: str
    line: int
    in_function: bool
    types_only: bool

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]


def imports(
    node: ast.AST, in_function: bool = False, types_only: bool = False
) -> Iterator[Import]:
    """Every import below `node`."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Import(alias.name, node.lineno, in_function, types_only)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            module = "." * node.level + (node.module or "")
            yield Import(f"{module}.{alias.name}", node.lineno, in_function, types_only)
    in_function |= isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    types_only |= isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    for child in ast.iter_child_nodes(node):
        yield from imports(child, in_function, types_only)


def complaint(path: str, found: Import) -> str | None:
    """Why the file of pavi at `path` may not import `found`, or None."""
    if found.package == "pavi":
        layer = path.removesuffix(".py").split("/")[1]
        if layer not in LAYERS:
            return f"is in no layer: add {layer!r} to the table"
        allowed = {f"pavi.{name}." for name in {layer} | LAYERS[layer]}
        if found.in_function:
            return "inside a function"
        return None if f"{found.name}.".startswith(tuple(allowed)) else "is not below it"
    if found.package == "":
        return "is relative"
    if found.package == "pytorch_lightning" and not LIGHTNING.fullmatch(path):
        return "outside the files that know Lightning"
    if found.types_only:
        allowed, where = ALWAYS | TYPES_ONLY, "for types"
    elif found.in_function:
        allowed, where = OPTIONAL, "inside a function"
    else:
        allowed, where = ALWAYS, "at the top of a file"
    return None if found.package in allowed else f"is not allowed {where}"


def violations(path: str, source: str) -> list[str]:
    """What the file at `path`, relative to the root, does against the rules."""
    return [
        f"{path}:{found.line}: {found.name} {why}"
        for found in imports(ast.parse(source))
        if (why := complaint(path, found))
    ]


def sources(*folders: str) -> list[str]:
    """The Python files below `folders`, as paths relative to the root."""
    files = (file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    return sorted(file.relative_to(ROOT).as_posix() for file in files)


def test_imports_run_one_way():
    found = [v for path in sources("pavi") for v in violations(path, (ROOT / path).read_text())]
    assert not found, "\n".join(found)


def test_lightning_is_spelled_pytorch_lightning():
    found = [
        f"{path}:{name.line}: {name.name}"
        for path in sources("pavi", "experiments", "benchmarks", "examples", "tests")
        for name in imports(ast.parse((ROOT / path).read_text()))
        if name.package == "lightning"
    ]
    assert not found, "\n".join(found)


def test_no_file_is_called_utils():
    files = sources("pavi", "experiments", "benchmarks", "examples", "tests")
    assert [path for path in files if re.search(r"(^|/)_?utils(/|\.py)", path)] == []


@pytest.mark.parametrize(
    ("path", "planted", "why"),
    [
        ("pavi/core/model.py", "from pavi.guides.base import Guide", "is not below it"),
        ("pavi/core/model.py", "import pavi", "is not below it"),
        ("pavi/core/model.py", "from pavi import HierarchicalModel", "is not below it"),
        ("pavi/core/model.py", "from .batch import PlateBatch", "is relative"),
        ("pavi/objectives/elbo.py", "from pavi.guides import Mean", "is not below it"),
        ("pavi/nn/mlp.py", "def f():\n    from pavi.nn import MLP", "inside a function"),
        ("pavi/nn/mlp.py", "def f():\n    import math", "is not allowed inside a function"),
        ("pavi/posterior/summary.py", "import pandas as pd", "is not allowed at the top"),
        ("pavi/training/module.py", "import lightning", "is not allowed at the top"),
        ("pavi/core/model.py", "import pytorch_lightning as pl", "outside the files that know"),
        ("pavi/training/log.py", "if TYPE_CHECKING:\n    import wandb", "is not allowed for"),
        ("pavi/extras.py", "from pavi.core import Plate", "is in no layer"),
    ],
)
def test_a_planted_violation_is_caught(path, planted, why):
    (violation,) = violations(path, planted)
    assert why in violation


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("pavi/core/model.py", "from pavi.core.batch import PlateBatch"),
        ("pavi/objectives/elbo.py", "from pavi.guides.base import Guide"),
        ("pavi/core/graph.py", "def draw():\n    import matplotlib.pyplot as plt"),
        ("pavi/data/frame.py", "if TYPE_CHECKING:\n    import pandas as pd"),
        ("pavi/data/module.py", "import pytorch_lightning as pl"),
        ("pavi/__init__.py", "from pavi.fitting import fit"),
    ],
)
def test_the_rules_allow(path, source):
    assert violations(path, source) == []
