"""What the newcomer's benchmark takes from the README."""

from __future__ import annotations

import pandas as pd
import pytest

from benchmarks import newcomer
from pavi.cli.model_file import ModelFile


def test_the_files_are_those_of_the_readme(tmp_path):
    lines = newcomer.write_files(tmp_path, pupils=120)
    assert lines == len((tmp_path / "model.py").read_text().strip().splitlines())
    assert list(ModelFile.read(tmp_path / "model.py", "schools").model.plates) == [
        "school",
        "pupil",
    ]
    frame = pd.read_csv(tmp_path / "data.csv")
    assert list(frame) == ["school", "gcse", "score"]
    assert len(frame) == 120


def test_another_readme_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "README.md"
    other.write_text("```python\nimport pavi\n```\n")
    monkeypatch.setattr(newcomer, "README", other)
    with pytest.raises(ValueError, match="has 1 parts, and should have three"):
        newcomer.write_files(tmp_path, pupils=10)


def test_a_command_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="pavi describe nothing.py:m failed:\n.*nothing.py"):
        newcomer.seconds_of(tmp_path, "describe", "nothing.py:m")
