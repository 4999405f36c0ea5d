"""A folder with a model and data, and a fit of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pavi.cli.help import MODEL
from pavi.cli.main import main


def table() -> str:
    """Pupils of three schools, one of which has a comma in its name."""
    draw = np.random.default_rng(0)
    names = ["St Mary", "Hill, side", "Park"]
    lines = [
        f'"{names[i % 3]}",{draw.normal():.3f},{1.0 + i % 3 + draw.normal():.3f}'
        for i in range(24)
    ]
    return "\n".join(["school,gcse,score", *lines]) + "\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "data.csv").write_text(table())
    return tmp_path


@pytest.fixture(scope="session")
def stored(tmp_path_factory) -> Path:
    """A fit, made once; tests work on copies."""
    home = tmp_path_factory.mktemp("stored")
    (home / "model.py").write_text(MODEL)
    (home / "data.csv").write_text(table())
    reference = f"{home / 'model.py'}:schools"
    command = ["fit", reference, str(home / "data.csv"), "--out", str(home / "fit"), "--quiet"]
    assert main([*command, "--steps", "30"]) == 0
    return home


@pytest.fixture
def fitted(folder: Path, stored: Path) -> Path:
    """`folder` with a copy of the fit, whose model and data are those of `stored`."""
    shutil.copytree(stored / "fit", folder / "fit")
    return folder


@pytest.fixture
def told(capsys):
    """Run a command that must fail; returns what it says."""

    def run(*arguments: str, code: int = 2) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == code
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
        assert "Traceback" not in said
        return said

    return run
