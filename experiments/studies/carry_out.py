"""Carrying out the runs of a study, one after the other or on several processes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from experiments.run_folder import RunFolder
from experiments.studies.crew import Crew
from experiments.studies.outcome import Outcome, outcome
from experiments.studies.plan import PlannedRun, by_repetition


def outcomes(
    runs: Sequence[PlannedRun], crew: Crew, *, begun: Callable[[PlannedRun], None]
) -> Generator[Outcome, None, None]:
    """Carry out what is not complete yet, repetition by repetition, and hand out what ends.

    A run that fails does not stop the others. One that was killed goes on from its checkpoint.

    Args:
        runs: The runs.
        crew: On which processes.
        begun: Is told of every run that starts.
    """
    complete = {run.folder for run in runs if RunFolder(run.folder).metrics is not None}
    for run in runs:
        if run.folder in complete:
            yield outcome(run, command=crew.command)
    left = by_repetition([run for run in runs if run.folder not in complete])
    if crew.jobs > 1:
        yield from crew.shared_out(left, begun=begun)
        return
    for run in left:
        begun(run)
        yield outcome(run, command=crew.command)
