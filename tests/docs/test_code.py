"""Every Python block of the README and of the documentation runs, those of a page one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page):
    return BLOCK.findall(page.read_text())


def test_there_are_blocks():
    assert {page.stem for page in PAGES if blocks(page)} > {"README", "quickstart", "models"}


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p)], ids=lambda page: page.stem)
def test_the_code_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "page"}
    for number, code in enumerate(blocks(page)):
        exec(compile(code, f"{page.name}, block {number + 1}", "exec"), names)


def test_pages_name_only_files_that_are_there():
    """Links in the README and the documentation lead to files of the repository."""
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readme_lists_every_benchmark():
    there = {
        path.stem for path in (ROOT / "benchmarks").glob("*.py") if "__main__" in path.read_text()
    }
    there |= {path.parent.name for path in (ROOT / "benchmarks").glob("*/__main__.py")}
    (listed,) = re.findall(r"`python -m (benchmarks\.\w+`(?:, `\.\w+`)*)", PAGES[0].read_text())
    assert set(re.findall(r"\.(\w+)`", listed)) == there - {"__main__"}


def test_the_changelog_counts_the_faults_that_are_tried():
    tried = (ROOT / "results" / "faults.md").read_text().count(
        "\n| "
    ) - 2  # two lines are the head
    assert f"does {tried} faults to a run" in (ROOT / "CHANGELOG.md").read_text()
