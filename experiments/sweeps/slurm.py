"""Runs as jobs of a Slurm queue, through submitit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from experiments.checks import filled
from experiments.run import main
from experiments.sweeps.config import SLURM_FIELDS, ExecutorConfig
from experiments.sweeps.executor import Executor, Job
from pavi.files import write_text

if TYPE_CHECKING:
    import submitit


@final
@dataclass(frozen=True)
class RunCall:
    """A run as a function call.

    Args:
        arguments: Of `experiments.run`.
    """

    arguments: tuple[str, ...]

    def __call__(self) -> int:
        """Run; returns the exit code."""
        return main(list(self.arguments))

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """What is queued when the time of a job is up: the same, which goes on by itself."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@final
class QueuedJob(Job):
    """A job of a queue.

    Args:
        job: Of submitit.
    """

    def __init__(self, job: submitit.Job[int]) -> None:
        self._job = job

    def poll(self) -> int | None:
        """The exit code, 1 for a job that failed to return one, or None while it goes on."""
        if not self._job.done():
            return None
        return 1 if self._job.exception() is not None else self._job.result()

    def stop(self) -> None:
        """Cancel it."""
        self._job.cancel()

    def leave(self) -> None:
        """It stays in the queue, where the same sweep finds it."""

    def errors(self) -> str:
        """What it wrote to its standard error, or why it has written nothing."""
        return self._job.stderr() or str(self._job.exception() or "")


@final
class SlurmExecutor(Executor):
    """Submits jobs.

    Args:
        config: What a job asks for.
        folder: For the scripts and logs of the jobs, on a disk that the nodes share.
        name: Of the jobs.
        cluster: Of submitit; another than `slurm` only to try out a submission without a queue.

    Raises:
        ValueError: If submitit or Slurm is not there.
    """

    def __init__(
        self, config: ExecutorConfig, *, folder: Path, name: str, cluster: str = "slurm"
    ) -> None:
        if find_spec("submitit") is None:
            raise ValueError(
                "executor.name=slurm needs the package submitit: "
                "pip install 'pavi-torch[experiments]'; executor.name=local needs none."
            )
        import submitit

        try:
            self._executor = submitit.AutoExecutor(folder=folder.absolute(), cluster=cluster)
        except RuntimeError as error:
            raise ValueError(
                f"executor.name=slurm cannot submit from this machine: {error}. Start the sweep "
                "where sbatch is, or with executor={name: local}."
            ) from error
        self._executor.update_parameters(**_parameters(config, name))
        self._submitit, self._cluster = submitit, cluster

    def start(self, arguments: Sequence[str], *, log: Path) -> Job:
        """Submit a run, or find the one that an earlier process of the sweep submitted."""
        record = log.with_suffix(".job")
        if record.is_file() and self._cluster == "slurm":
            earlier: submitit.Job[int] = self._submitit.SlurmJob(
                folder=self._executor.folder, job_id=record.read_text().strip()
            )
            if not earlier.done():
                return QueuedJob(earlier)
        job = self._executor.submit(RunCall(tuple(arguments)))
        record.parent.mkdir(parents=True, exist_ok=True)
        write_text(record, f"{job.job_id}\n")
        return QueuedJob(job)


def _parameters(config: ExecutorConfig, name: str) -> dict[str, Any]:
    """What a job asks for, in the words of submitit."""
    chosen = filled(vars(config), SLURM_FIELDS)
    asked = {
        "name": name,
        "timeout_min": chosen["minutes"],
        "cpus_per_task": chosen["cpus"],
        "gpus_per_node": chosen["gpus"] or None,
        "mem_gb": chosen["memory_gb"],
        "tasks_per_node": 1,
        "slurm_partition": chosen["partition"],
        "slurm_account": chosen["account"],
        "slurm_qos": chosen["qos"],
        "slurm_setup": chosen["setup"],
    }
    return {key: value for key, value in asked.items() if value is not None}
