"""A cohort on disk, with its truth."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, final
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import surface
from experiments.hcp_like.oracle import oracle
from experiments.hcp_like.surface import Surface
from pavi.data.stores import MemmapStore

# What is in the folder of a cohort.
ABOUT, ORDER, X, LABELS, TRUTH = "cohort.json", "order.npy", "x", "labels", "truth.npz"
AGAIN = "Generate it again with python -m experiments.hcp_like generate: it goes on from there."


@final
@dataclass(frozen=True)
class Truth:
    """The parameters that a cohort was drawn with.

    Args:
        mu: The centroids of the networks, `(network, dim)`.
        mu_s: Those of subjects, `(subject, network, dim)`.
        mu_st: Those of sessions, `(subject, session, network, dim)`.
        eps: The standard deviations of subjects' centroids, `(network,)`.
        sigma: The standard deviations of sessions' centroids, `(network,)`.
        kappa: The standard deviation of the noise, `()`.
        probabilities: How frequent each network is at a vertex, `(vertex, network)`.
        oracle_accuracy: The share of a subject's vertices that the oracle labels right,
            `(subject,)`.
        map_accuracy: The share that have the most frequent label of the population, `(subject,)`.
    """

    mu: NDArray[np.float32]
    mu_s: NDArray[np.float32]
    mu_st: NDArray[np.float32]
    eps: NDArray[np.float32]
    sigma: NDArray[np.float32]
    kappa: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    oracle_accuracy: NDArray[np.float32]
    map_accuracy: NDArray[np.float32]


@final
@dataclass(frozen=True)
class Cohort:
    """A cohort on disk; see `open`. Vertices are in the order of its files.

    Args:
        folder: Where it lies.
        config: What it is a function of.
        x: The fingerprints, `(subject, session, vertex, dim)`, float16.
        labels: The networks, the same in all sessions, `(subject, vertex)`, uint8, on disk.
        order: The vertex of the surface that each row is of, `(vertex,)`.
        truth: What it was drawn with.
    """

    folder: Path
    config: CohortConfig
    x: MemmapStore
    labels: NDArray[np.uint8]
    order: NDArray[np.int64]
    truth: Truth

    @classmethod
    def open(cls, folder: Path | str) -> Cohort:
        """Open a complete cohort.

        Raises:
            ValueError: If the folder holds none, or one that is not complete, or its files do
                not fit each other.
        """
        folder = Path(folder)
        config = CohortConfig.read(about(folder)["config"])
        for name in (ORDER, TRUTH):
            if not (folder / name).is_file():
                raise ValueError(f"the cohort in {folder} is not complete: no {name}. {AGAIN}")
        x, labels = MemmapStore.open(folder / X), MemmapStore.open(folder / LABELS)
        truth, order = _read(folder / TRUTH, _truth), _read(folder / ORDER, np.load)
        size = (config.subjects, config.vertices)
        found = {
            X: (x.shape, (size[0], config.sessions, size[1], config.dim)),
            LABELS: (labels.shape, size),
            ORDER: (order.shape, size[1:]),
        }
        for name, (shape, expected) in found.items():
            if shape != expected:
                raise ValueError(
                    f"{folder / name} is not that of the cohort: expected the shape {expected}, "
                    f"got {shape}. Delete it. {AGAIN}"
                )
        return cls(
            folder=folder,
            config=config,
            x=x,
            labels=np.load(folder / LABELS / "values.npy", mmap_mode="r"),
            order=order,
            truth=truth,
        )

    @cached_property
    def surface(self) -> Surface:
        """What the vertices lie on, in its own order.

        Raises:
            ValueError: If it cannot be had, for want of the extra `hcp`.
        """
        return surface(self.config.surface, self.config.vertices)

    def on_surface(self, values: NDArray[Any], *, axis: int = 0) -> NDArray[Any]:
        """Values in the order of the surface.

        Args:
            values: In the order of the files.
            axis: That of the vertices.
        """
        return np.take(values, np.argsort(self.order), axis=axis)

    def oracle(self, subject: int) -> NDArray[np.float32]:
        """The probabilities of a subject's labels given all parameters, `(vertex, network)`."""
        return oracle(
            self.x.take([np.array([subject])])[0].numpy(),
            self.truth.mu_st[subject],
            noise=float(self.truth.kappa),
            probabilities=self.truth.probabilities,
        )


def _truth(stream: BinaryIO) -> Truth:
    with np.load(stream) as file:
        return Truth(**file)


def _read(path: Path, read: Callable[[BinaryIO], Any]) -> Any:
    """What a file of a cohort holds.

    Raises:
        ValueError: If it cannot be made sense of.
    """
    try:
        with path.open("rb") as stream:  # numpy leaves files open that it cannot read
            return read(stream)
    except (OSError, EOFError, ValueError, TypeError, KeyError, BadZipFile) as error:
        raise ValueError(f"{path} cannot be read: {error}. Delete it. {AGAIN}") from error


def about(folder: Path) -> dict[str, Any]:
    """What a folder says of the cohort in it: its config, and the versions that made it.

    Raises:
        ValueError: If it says nothing of the kind.
    """
    path = folder / ABOUT
    if not path.is_file():
        raise ValueError(f"{folder} holds no cohort: there is no {path}.")
    try:
        found = json.loads(path.read_text())
        if found.keys() >= {"config", "versions"}:
            return found
        why = f"it has {sorted(found)}, and config and versions are expected"
    except (ValueError, AttributeError) as error:
        why = str(error)
    raise ValueError(f"{path} cannot be read: {why}. Delete {folder}, and generate it again.")
