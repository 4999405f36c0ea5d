"""What is said of the version of the code that a result comes from."""

from __future__ import annotations

import subprocess

from experiments import provenance


def git(folder, *arguments):
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_results_are_not_part_of_the_code(tmp_path, monkeypatch):
    for name in ("code.py", "results/table.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("first")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    commit = provenance.version_of_code()
    assert provenance.changed() is False
    (tmp_path / "results" / "table.md").write_text("second")
    assert provenance.changed() is False
    assert provenance.version_of_code() == commit
    (tmp_path / "code.py").write_text("second")
    assert provenance.changed() is True
    assert provenance.version_of_code() == f"{commit}+"


def test_outside_of_a_clone_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "ROOT", tmp_path)
    assert provenance.changed() is None
    assert provenance.version_of_code() == "unknown"
