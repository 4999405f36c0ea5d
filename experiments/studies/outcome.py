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
        if run.datasets is not None:
            return Outcome(run, carry_out_simulated(run, command=command))
        overrides = [f"seed={run.config.seed}", f"out={run.folder}"]
        if run.config.trainer.devices > 1:
            return Outcome(run, _apart(run, overrides))
        own = command_line("experiments.run", [f"{run.folder}/config.yaml", *overrides])
        return Outcome(run, carry_out(prepare(run.config), command=own))
    except Exception as error:  # whatever it is, it belongs into the table
        if jobs_beside() > 1:  # then standard error is the log of this process
            traceback.print_exc()
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
        program = Program(
            "experiments.run",
            [str(config), *overrides],
            jobs=jobs_beside(),
            log=Path(beside) / "log",
        )
        try:
            code = program.wait()
        finally:
            program.stop()
        metrics = folder.metrics
        if code or metrics is None:
            raise RuntimeError(f"exit code {code}: {last_words(program.errors())}")
    return metrics
