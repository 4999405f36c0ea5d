"""Cohorts on disk: what is written, how writing goes on, and what is refused."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

import experiments.hcp_like.generation as generation
from experiments.hcp_like.__main__ import main
from experiments.hcp_like.cohort import Cohort
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.hcp_like.population import population
from experiments.hcp_like.subject import draw

TINY = CohortConfig(subjects=5, vertices=300, dim=6, surface=SurfaceChoice.SPHERE)


def write(folder, config=TINY, jobs=1, **further) -> Cohort:
    console = Console(quiet=True)
    return generation.generate(config, folder, jobs=jobs, console=console, **further)


def contents(folder) -> dict[str, bytes]:
    """Every file, an archive by its members: those carry the time they were written."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = str(path.relative_to(folder))
        if path.suffix == ".npz":
            with np.load(path) as file:
                found |= {f"{name}/{key}": value.tobytes() for key, value in file.items()}
        else:
            found[name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cohort") / "whole"
    write(folder)
    return folder


def test_what_is_written_is_what_is_drawn(folder):
    cohort, shared = Cohort.open(folder), population(TINY)
    x = np.load(folder / "x" / "values.npy", mmap_mode="r")
    assert x.shape == cohort.x.shape == (5, 2, 300, 6)
    assert x.dtype == np.float16
    for subject in (4, 0):
        expected = draw(shared, subject)
        np.testing.assert_array_equal(x[subject], expected.x)
        np.testing.assert_array_equal(cohort.labels[subject], expected.labels)
        np.testing.assert_array_equal(cohort.truth.mu_s[subject], expected.mu_s)
        np.testing.assert_array_equal(cohort.truth.mu_st[subject], expected.mu_st)
        accuracy = cohort.truth.oracle_accuracy[subject]
        assert accuracy == np.float32(expected.oracle_accuracy)
        found = cohort.oracle(subject).argmax(1) == expected.labels
        assert accuracy == pytest.approx(found.mean())
        assert cohort.truth.map_accuracy[subject] == np.float32(expected.map_accuracy)
    np.testing.assert_array_equal(cohort.truth.probabilities, shared.probabilities)
    assert cohort.truth.kappa == np.float32(TINY.noise)
    assert cohort.config == TINY


def test_rows_are_vertices_in_a_random_order(folder):
    cohort = Cohort.open(folder)
    np.testing.assert_array_equal(np.sort(cohort.order), np.arange(300))
    assert np.abs(np.corrcoef(cohort.order, np.arange(300))[0, 1]) < 0.2
    np.testing.assert_array_equal(cohort.on_surface(cohort.order), np.arange(300))
    # The most frequent network of a row is that of its vertex.
    likely = cohort.truth.probabilities.argmax(1)
    np.testing.assert_array_equal(likely, cohort.surface.labels[cohort.order])
    np.testing.assert_array_equal(cohort.on_surface(likely), cohort.surface.labels)
    both = cohort.on_surface(np.stack([likely, likely]), axis=1)
    np.testing.assert_array_equal(both[1], cohort.surface.labels)
    agree = (cohort.on_surface(np.asarray(cohort.labels), axis=1) == cohort.surface.labels).mean()
    assert agree > 0.6


@pytest.mark.parametrize("jobs", [1, 2])
def test_writing_goes_on_where_it_ended(folder, tmp_path, monkeypatch, jobs):
    drawn = generation.drawn

    def interrupted(config, subjects, *, jobs):
        for count, found in enumerate(drawn(config, subjects, jobs=jobs)):
            if count == 3:
                raise KeyboardInterrupt
            yield found

    monkeypatch.setattr(generation, "drawn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "half")
    with pytest.raises(ValueError, match="not complete: no truth.npz"):
        Cohort.open(tmp_path / "half")
    asked = []

    def watched(config, subjects, *, jobs):
        asked.extend(subjects)
        return drawn(config, subjects, jobs=jobs)

    monkeypatch.setattr(generation, "drawn", watched)
    write(tmp_path / "half", jobs=jobs)
    assert asked == [3, 4]
    assert contents(tmp_path / "half") == contents(folder)


def test_a_complete_cohort_is_not_written_again(folder, monkeypatch):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.np[yz]")}
    write(folder)
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.parametrize("name", ["x", "labels"])
def test_damaged_subjects_are_written_again(folder, tmp_path, name):
    shutil.copytree(folder, tmp_path / "cohort")
    with (tmp_path / "cohort" / name / "values.npy").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    write(tmp_path / "cohort")
    assert contents(tmp_path / "cohort") != contents(folder)
    write(tmp_path / "cohort", repair=True)
    assert contents(tmp_path / "cohort") == contents(folder)


def test_another_cohort_is_refused_by_what_differs(folder):
    before = contents(folder)
    with pytest.raises(ValueError, match="seed is 0 there and 3 here"):
        write(folder, replace(TINY, seed=3))
    with pytest.raises(ValueError, match="subjects is 5 there and 6 here; noise is 1.14 there"):
        write(folder, replace(TINY, subjects=6, noise=2.0))
    assert contents(folder) == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="is not empty and holds no cohort"):
        write(tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        write(tmp_path / "thesis.tex")


def test_too_little_disk_is_told_before_anything_is_written(tmp_path, monkeypatch):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10_000))
    big = replace(TINY, subjects=1000, vertices=59_412, dim=64)
    with pytest.raises(ValueError, match="needs 15.3 GB, and .* has 10 KB free"):
        write(tmp_path / "new" / "er", big)
    assert list(tmp_path.iterdir()) == []


def test_two_processes_do_not_write_the_same_cohort(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(ValueError, match="another process writes"):
            write(folder)
    finally:
        os.close(handle)


def test_a_cohort_is_not_completed_with_another_numpy(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "truth.npz").unlink()
    about = json.loads((tmp_path / "copy" / "cohort.json").read_text())
    about["versions"]["numpy"] = "1.0"
    (tmp_path / "copy" / "cohort.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="begun with numpy 1.0"):
        write(tmp_path / "copy")


def broken(folder, name, text):
    (folder / name).write_text(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cohort.json cannot be read"),
        ("[]", "cohort.json cannot be read"),
        ('{"config": {}, "versions": {}}', "missing: .*'dim'"),
    ],
)
def test_an_unreadable_cohort_is_told(folder, tmp_path, text, message):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "cohort.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        Cohort.open(tmp_path / "copy")


@pytest.mark.parametrize("name", ["truth.npz", "order.npy"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"\x93NUMPY\x01\x00"])
def test_an_unreadable_file_of_a_cohort_is_told_and_can_be_made_again(
    folder, tmp_path, name, content
):
    shutil.copytree(folder, tmp_path / "copy")
    file = tmp_path / "copy" / name
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} cannot be read: .* Delete it. Generate it"):
        Cohort.open(tmp_path / "copy")
    file.unlink()
    write(tmp_path / "copy")
    assert contents(tmp_path / "copy") == contents(folder)


def test_a_read_only_folder_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ValueError, match="read-only for this user; choose another folder, or"):
        write(tmp_path / "cohort")
    assert not (tmp_path / "cohort").exists()


def test_files_of_another_cohort_are_told(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    write(tmp_path / "other", replace(TINY, dim=7))
    shutil.rmtree(tmp_path / "copy" / "x")
    (tmp_path / "other" / "x").rename(tmp_path / "copy" / "x")
    with pytest.raises(
        ValueError, match=r"expected the shape \(5, 2, 300, 6\), got \(5, 2, 300, 7\)"
    ):
        Cohort.open(tmp_path / "copy")


def test_a_folder_without_a_cohort_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"holds no cohort: there is no .*cohort\.json"):
        Cohort.open(tmp_path)


def test_the_command_line(tmp_path, capsys):
    given = [
        "generate",
        "--subjects",
        "2",
        "--vertices",
        "200",
        "--dim",
        "4",
        "--surface",
        "sphere",
    ]
    assert main([*given, "--out", str(tmp_path / "c")]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["folder"] == str(tmp_path / "c")
    assert 0 < line["oracle_accuracy"] <= 1
    assert Cohort.open(tmp_path / "c").config.vertices == 200
    assert main([*given, "--out", str(tmp_path / "c"), "--seed", "1"]) == 2
    assert "seed is 0 there and 1 here" in capsys.readouterr().err
    assert main([*given, "--out", str(tmp_path / "d"), "--jobs", "0"]) == 2
    assert "jobs must be at least 1, got 0" in capsys.readouterr().err
