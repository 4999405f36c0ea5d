"""Carrying out the runs of a study, one after the other or on several processes."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

import torch

from experiments.config_file import dump
from experiments.provenance import command_line
from experiments.run import carry_out, prepare
from experiments.run_folder import RunFolder
from experiments.studies.plan import PlannedRun
from experiments.studies.simulated_run import carry_out_simulated

ERROR = 500  # characters of what a program said that failed


@final
@dataclass(frozen=True)
class Outcome:
    """What came of a run.

    Args:
        run: The run.
        metrics: What was measured; none if it failed.
        error: Why it failed.
    """

    run: PlannedRun
    metrics: Mapping[str, Any]
    error: str | None = None


def outcomes(runs: Sequence[PlannedRun], *, jobs: int) -> Iterator[Outcome]:
    """Carry out what is not complete yet, and hand out every run as it ends.

    A run that fails does not stop the others. One that was killed goes on from its checkpoint.

    Args:
        runs: The runs.
        jobs: How many processes share the machine; with one, runs are carried out in this one.
    """
    if jobs == 1:
        yield from map(_outcome, runs)
        return
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        jobs, mp_context=context, initializer=torch.set_num_threads, initargs=(threads,)
    ) as pool:
        waiting = [pool.submit(_outcome, run) for run in runs]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _outcome(run: PlannedRun) -> Outcome:
    try:
        if run.datasets is not None:
            return Outcome(run, carry_out_simulated(run))
        overrides = [f"seed={run.config.seed}", f"out={run.folder}"]
        command = command_line("experiments.run", [f"{run.folder}/config.yaml", *overrides])
        if run.config.trainer.devices > 1:
            return Outcome(run, _apart(run, overrides))
        return Outcome(run, carry_out(prepare(run.config), command=command))
    except Exception as error:  # whatever it is, it belongs into the table
        return Outcome(run, {}, f"{type(error).__name__}: {error}")


def _apart(run: PlannedRun, overrides: Sequence[str]) -> Mapping[str, Any]:
    """A run on several devices, as a program: Lightning starts it again for each of them.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    folder = RunFolder(run.folder)
    if (done := folder.metrics) is not None:
        folder.check(run.config)
        return done
    with TemporaryDirectory() as beside:
        config = Path(beside) / "config.yaml"
        config.write_text(dump(run.config))
        command = [sys.executable, "-m", "experiments.run", str(config), *overrides]
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    metrics = folder.metrics
    if said.returncode or metrics is None:
        raise RuntimeError(said.stderr.strip()[-ERROR:] or f"exit code {said.returncode}")
    return metrics
