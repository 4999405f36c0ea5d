"""Runs of a study on several processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import cast, final

from experiments.programs import Program, last_words, stop
from experiments.run_folder import RunFolder
from experiments.studies.outcome import Outcome
from experiments.studies.plan import PlannedRun


@final
@dataclass(frozen=True)
class Crew:
    """The processes that carry out a study.

    Args:
        jobs: How many share the machine; one is the process of the study itself.
        command: The command line of the study.
        logs: The folder for their standard errors.
        lock: A descriptor that they keep open, which says that the study is at work.
    """

    jobs: int
    command: Sequence[str]
    logs: Path
    lock: int

    def shared_out(
        self, runs: Sequence[PlannedRun], *, begun: Callable[[PlannedRun], None]
    ) -> Generator[Outcome, None, None]:
        """Carry out runs on several processes, and hand out each as it ends.

        When the generator is closed, processes are interrupted: what they were at has a
        checkpoint. A process that is lost takes the run that it was at with it, and another one
        takes its place.

        Args:
            runs: The runs.
            begun: Is told of every run that starts.
        """
        waiting, idle, started = deque(runs), list[_Worker](), list[_Worker]()
        busy: dict[Connection, tuple[_Worker, PlannedRun]] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.jobs:
                    if not idle:
                        started.append(_Worker(self, log=self.logs / f"{len(started)}.log"))
                        idle.append(started[-1])
                    worker, run = idle.pop(), waiting.popleft()
                    busy[worker.pipe] = worker, run
                    worker.give(run)
                    begun(run)
                for pipe in cast(list[Connection], wait(list(busy))):
                    worker, run = busy.pop(pipe)
                    done = worker.take(run)
                    if worker.program.poll() is None:
                        idle.append(worker)
                    yield done
        finally:
            stop(worker.program for worker in started)
            for worker in started:
                worker.pipe.close()


@final
class _Worker:
    """A process that is given one run after the other, see `experiments.studies.worker`."""

    def __init__(self, crew: Crew, *, log: Path) -> None:
        self._log = log
        self.pipe, theirs = Pipe()
        with theirs:
            number = theirs.fileno()
            self.program = Program(
                "experiments.studies.worker",
                [str(number), *crew.command],
                jobs=crew.jobs,
                log=log,
                keep=[number, crew.lock],
            )

    def give(self, run: PlannedRun) -> None:
        """Start a run; of a process that is not there any more `take` tells."""
        with suppress(ConnectionError):
            self.pipe.send(run)

    def take(self, run: PlannedRun) -> Outcome:
        """What came of the run, once there is something in the pipe."""
        try:
            error = self.pipe.recv()
        except (EOFError, ConnectionError):
            code, said = self.program.wait(), last_words(self.program.errors())
            error = f"its process ended with exit code {code}, see {self._log}: {said}"
        metrics = RunFolder(run.folder).metrics
        return Outcome(run, {} if error or metrics is None else metrics, error)
