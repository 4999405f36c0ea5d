"""pyproject.toml, environment.yml, constraints.txt and the pre-commit hooks agree."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYPI_NAME = {"pytorch": "torch"}  # conda-forge's name -> PyPI's, where they differ
CONDA_ONLY = {"python", "pip"}


def parse(lines: Iterable[str]) -> dict[str, SpecifierSet]:
    """The version specifiers by normalised name; a name listed twice must agree with itself."""
    found: dict[str, SpecifierSet] = {}
    for requirement in map(Requirement, lines):
        name = canonicalize_name(requirement.name)
        assert found.setdefault(name, requirement.specifier) == requirement.specifier, name
    return found


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def direct(project) -> dict[str, SpecifierSet]:
    extras = project["optional-dependencies"].values()
    return parse([*project["dependencies"], *(line for extra in extras for line in extra)])


@pytest.fixture(scope="module")
def conda() -> dict[str, SpecifierSet]:
    lines = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    from_pip = [line["pip"] for line in lines if isinstance(line, dict)]
    return parse([*(line for line in lines if isinstance(line, str)), *sum(from_pip, [])])


@pytest.fixture(scope="module")
def pinned() -> dict[str, SpecifierSet]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return parse(line for line in lines if not line.startswith("#"))


def test_conda_and_pyproject_agree(conda, direct):
    packages = {PYPI_NAME.get(n, n): spec for n, spec in conda.items() if n not in CONDA_ONLY}
    assert packages == direct


def test_conda_and_pyproject_agree_on_python(conda, project):
    assert conda["python"] == SpecifierSet(project["requires-python"])


def test_constraints_pin_every_line_exactly(pinned):
    operators = {name: [s.operator for s in specifiers] for name, specifiers in pinned.items()}
    assert {name for name, found in operators.items() if found != ["=="]} == set()


def test_constraints_satisfy_every_direct_dependency(pinned, direct):
    assert direct.keys() - pinned.keys() == set()
    versions = {name: next(iter(pinned[name])).version for name in direct}
    assert {n: v for n, v in versions.items() if not direct[n].contains(v)} == {}


@pytest.mark.parametrize("tool", ["ruff", "codespell"])
def test_pre_commit_runs_the_pinned_version(tool, pinned):
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    (revision,) = [repo["rev"] for repo in hooks if tool in repo["repo"]]
    assert revision.removeprefix("v") in pinned[tool]
