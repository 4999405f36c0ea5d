"""One run of a study, and what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, final

from experiments.config_file import dump
from experiments.programs import Program, jobs_beside, last_words
from experiments.provenance import command_line
from experiments.run import carry_out, prepare
from experiments.run_folder import RunFolder
from experiments.studies.plan import PlannedRun
from experiments.studies.simulated_run import carry_out_simulated


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


def outcome(run: PlannedRun, *, command: Sequence[str]) -> Outcome:
    """Carry out a run in this process, or go on with it; whatever goes wrong is its outcome.

    Args:
        run: The run.
        command: The command line of the study, for the record.
    """
    try:
        if (done := _complete(run)) is not None:
            return Outcome(run, done)
        overrides = [f"seed={run.config.seed}", f"out={run.folder}"]
        if run.config.trainer.devices > 1:
            return Outcome(run, _apart(run, overrides))
        if run.datasets is not None:
            simulated = carry_out_simulated(run.config, datasets=run.datasets, command=command)
            return Outcome(run, simulated)
        own = command_line("experiments.run", [f"{run.folder}/config.yaml", *overrides])
        return Outcome(run, carry_out(prepare(run.config), command=own))
    except Exception as error:  # whatever it is, it belongs into the table
        if jobs_beside() > 1:  # then standard error is the log of this process
            traceback.print_exc()
        return Outcome(run, {}, f"{type(error).__name__}: {error}")


def _complete(run: PlannedRun) -> Mapping[str, Any] | None:
    """The metrics of a run that is complete, None of one that is not.

    Raises:
        ValueError: If the folder holds something else.
    """
    folder = RunFolder(run.folder)
    folder.check(run.config)
    done = folder.metrics
    if done is not None and run.datasets is not None and len(done["datasets"]) != run.datasets:
        raise ValueError(
            f"{run.folder} was tried on {len(done['datasets'])} data sets, not {run.datasets}; "
            "delete it, or choose another folder with --out."
        )
    return done


def _apart(run: PlannedRun, overrides: Sequence[str]) -> Mapping[str, Any]:
    """A run on several devices, as a program: Lightning starts it again for each of them.

    Raises:
        RuntimeError: If it fails, with the end of what it said.
    """
    module, more = "experiments.run", list[str]()
    if run.datasets is not None:
        module, more = "experiments.studies.simulated_run", [f"--datasets={run.datasets}"]
    with TemporaryDirectory() as beside:
        config = Path(beside) / "config.yaml"
        config.write_text(dump(run.config))
        program = Program(
            module,
            [str(config), *more, *overrides],
            jobs=jobs_beside(),
            log=Path(beside) / "log",
        )
        try:
            code = program.wait()
        finally:
            program.stop()
        metrics = RunFolder(run.folder).metrics
        if code or metrics is None:
            raise RuntimeError(f"exit code {code}: {last_words(program.errors())}")
    return metrics
