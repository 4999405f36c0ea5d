"""Figures of a cohort: they are drawn, and what they are made of is right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from PIL import Image

from experiments.figures import save
from experiments.hcp_like.figures.accuracy import accuracy_per_subject
from experiments.hcp_like.figures.course import elbo_against_time
from experiments.hcp_like.figures.flat_map import draw_labels, faded
from experiments.hcp_like.figures.parcellations import group_maps, subject_maps
from experiments.hcp_like.figures.reliability import reliability_diagram
from experiments.hcp_like.reliability import Reliability
from experiments.hcp_like.sphere import sphere
from experiments.parcellation.report import MAP_COLORS, MAP_DPI, write_figures
from experiments.parcellation.run_files import RunFiles

SPHERE = sphere(300)


def probabilities(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).dirichlet(np.full(7, 0.3), shape).astype(np.float32)


def texts(figure: Figure) -> str:
    return " ".join(t.get_text() for t in figure.findobj(lambda a: hasattr(a, "get_text")))


def test_colours_fade_to_white():
    color = np.array([[0.2, 0.4, 0.6]] * 3)
    found = faded(color, np.array([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(found, [[0.2, 0.4, 0.6], [0.6, 0.7, 0.8], [1, 1, 1]])


def test_every_triangle_is_drawn_in_the_colours_of_its_corners():
    axes = Figure().add_subplot()
    labels = SPHERE.labels
    draw_labels(axes, SPHERE, labels)
    whole, parts = (c for c in axes.collections if isinstance(c, PolyCollection))
    one = (labels[SPHERE.faces] == labels[SPHERE.faces[:, :1]]).all(1)
    assert len(whole.get_paths()) == one.sum()
    assert len(parts.get_paths()) == 3 * (~one).sum()
    expected = SPHERE.colors[labels[SPHERE.faces[~one]].ravel()]
    np.testing.assert_allclose(parts.get_facecolors()[:, :3], expected)
    # The parts of a triangle touch its corner, and have a third of its area each.
    quads = np.array([path.vertices[:4] for path in parts.get_paths()])
    np.testing.assert_allclose(quads[:, 0], SPHERE.flat[SPHERE.faces[~one].ravel()], rtol=1e-5)
    x, y = np.moveaxis(quads, 2, 0)
    area = np.abs((x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1)) / 2
    np.testing.assert_allclose(
        area.reshape(-1, 3), area.reshape(-1, 3).mean(1, keepdims=True).repeat(3, 1), rtol=0.01
    )
    assert whole.get_rasterized()


def test_maps_of_the_group_and_of_subjects(tmp_path):
    true, likely = probabilities(300), probabilities(2, 300)
    figure = group_maps(SPHERE, true, true)
    assert "100.0% agree" in texts(figure)
    save(figure, tmp_path / "group.png")
    labels = likely.argmax(2)
    labels[1, :30] = (labels[1, :30] + 1) % 7
    figure = subject_maps(SPHERE, labels, likely, names=["first", "second"])
    assert all(
        text in texts(figure) for text in ("first", "100.0% right", "90.0% right", "A", "G")
    )
    save(figure, tmp_path / "subjects.svg")
    assert "<image" in (tmp_path / "subjects.svg").read_text()
    with pytest.raises(ValueError, match="3 names"):
        subject_maps(SPHERE, labels, likely, names=["a", "b", "c"])


def image(path: Path) -> Image.Image:
    with Image.open(path) as file:
        return file.copy()


def test_maps_take_few_bytes_and_keep_their_colours(tmp_path):
    surface, likely = sphere(4000), probabilities(3, 4000)
    figure = subject_maps(surface, likely.argmax(2), likely, names=["a", "b", "c"])
    save(figure, tmp_path / "whole.png", dpi=MAP_DPI)
    save(figure, tmp_path / "few.png", dpi=MAP_DPI, colors=MAP_COLORS)
    sizes = {path.stem: path.stat().st_size for path in tmp_path.iterdir()}
    assert sizes["few"] < 0.5 * sizes["whole"]
    images = {name: image(tmp_path / f"{name}.png") for name in sizes}
    assert images["few"].mode == "P"
    assert images["few"].size == images["whole"].size
    assert images["few"].size[0] == 10 * MAP_DPI
    whole, few = (np.asarray(images[name].convert("RGB")).astype(int) for name in ("whole", "few"))
    assert (few[(whole == 255).all(2)] >= 254).all()  # the paper stays white
    # 256 colours for seven networks from pale to full: a few of 255 levels apart.
    assert np.abs(few - whole).mean() < 3
    assert np.percentile(np.abs(few - whole), 99) < 16


def test_a_run_writes_its_maps_with_a_palette(tmp_path, monkeypatch):
    maps = {"group": group_maps(SPHERE, *[probabilities(300)] * 2), "accuracy": Figure()}
    monkeypatch.setattr("experiments.parcellation.report.against_truth", lambda *_: maps)
    course = {name: [1, 2] for name in ("steps", "seconds", "elbo")}
    files = RunFiles(tmp_path)
    files.write_history({"fixed_batch": course})
    files.add_seconds("start", 1.0)
    write_figures(tmp_path / "figures", files, {}, cohort=object())
    modes = {p.stem: image(p).mode for p in (tmp_path / "figures").glob("*.png")}
    assert modes == {"group": "P", "accuracy": "RGBA", "elbo": "RGBA"}


def test_reliability_counts_by_hand():
    given = np.array([[0.9, 0.1], [0.7, 0.3], [0.24, 0.76], [1.0, 0.0]])
    found = Reliability.of(given, np.array([0, 1, 1, 0]), bins=4)
    np.testing.assert_array_equal(found.count, [0, 0, 1, 3])
    np.testing.assert_allclose(found.confidence, [0, 0, 0.7, 2.66])
    np.testing.assert_array_equal(found.correct, [0, 0, 0, 3])
    assert found.expected_calibration_error == pytest.approx((0.7 + 0.34) / 4)
    assert found.accuracy == 0.75


def test_reliability_adds_up():
    likely = probabilities(40, 10)
    labels = np.random.default_rng(1).integers(0, 7, (40, 10))
    whole, parts = Reliability.of(likely, labels), Reliability.of(likely[:7], labels[:7])
    parts = parts + Reliability.of(likely[7:], labels[7:])
    np.testing.assert_array_equal(whole.count, parts.count)
    np.testing.assert_allclose(whole.confidence, parts.confidence)
    assert whole.expected_calibration_error == pytest.approx(parts.expected_calibration_error)


def test_labels_drawn_from_their_probabilities_are_calibrated():
    likely = probabilities(20_000)
    uniform = np.random.default_rng(1).random((20_000, 1))
    labels = (likely.cumsum(1) < uniform).sum(1)
    assert Reliability.of(likely, labels).expected_calibration_error < 0.02


def test_the_other_figures(tmp_path):
    random = np.random.default_rng(0)
    oracle = random.uniform(0.8, 0.9, 40)
    figure = accuracy_per_subject(oracle - 0.01, oracle, group=oracle - 0.1)
    assert "fitted: " in texts(figure)
    save(figure, tmp_path / "accuracy.png")
    likely = probabilities(500)
    figure = reliability_diagram(Reliability.of(likely, likely.argmax(1)), networks=7)
    assert "500 labels, 100.0% right" in texts(figure)
    save(figure, tmp_path / "reliability.svg")
    for steps in (1, 30, 1000):
        seconds = np.arange(1.0, steps + 1)
        figure = elbo_against_time(
            seconds, -1e6 * (1 + 1 / seconds), steps=np.arange(1, steps + 1), start=30.0
        )
        assert f"({steps:,} steps from" in texts(figure)
        save(figure, tmp_path / "elbo.png")
