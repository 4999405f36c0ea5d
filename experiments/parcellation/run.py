"""One parcellation: start, fit, posterior, and what they are worth, in a folder.

python -m experiments.run configs/hcp_like/full.yaml cohort=runs/cohort
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl

from experiments.build import build_history, build_trainer
from experiments.config_file import load_as
from experiments.ends import ENDS, told
from experiments.hcp_like.cohort import Cohort
from experiments.loggers import check_logger, opened_logger
from experiments.parcellation.assessment import compared
from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.fingerprints import open_fingerprints
from experiments.parcellation.report import write_figures
from experiments.parcellation.run_files import RunFiles
from experiments.parcellation.stages import (
    Fit,
    build_fit,
    fixed_batch_course,
    reached_start,
    stream_labels,
    timed,
)
from experiments.provenance import command_line, provenance
from experiments.run_folder import RunFolder
from experiments.run_identity import RunIdentity, stored_run_id
from pavi.data.stores import MemmapStore
from pavi.files import DiskFullError
from pavi.training import (
    Checkpoints,
    FitProgress,
    NonFiniteLossError,
    StepLog,
    StopSignals,
    checkpoint_to_resume,
    fit_until_stopped,
)
from pavi.training.quiet import quiet

# Of the metrics, those that are for figures and not for a line of text.
DETAILS = ("subject_accuracy", "reliability")


@final
@dataclass(frozen=True)
class Prepared:
    """A parcellation that is ready to start or to go on; nothing is written yet.

    Args:
        config: Of the run.
        folder: Where it is written to.
        store: The fingerprints, `(subject, session, vertex, dim)`.
        cohort: The truth, if the cohort was simulated.
    """

    config: ParcellationConfig
    folder: RunFolder
    store: MemmapStore
    cohort: Cohort | None

    @property
    def files(self) -> RunFiles:
        """The files of the run."""
        return RunFiles(self.folder.path)


def prepare(config: ParcellationConfig) -> Prepared:
    """See that a run can start or go on.

    Raises:
        ValueError: If the folder holds another run, there is no such cohort, or the config does
            not fit it.
    """
    assert config.out is not None
    path = Path(config.cohort)
    if config.trainer.shard is not None:
        raise ValueError(
            f"trainer.shard={config.trainer.shard} is not known to a parcellation, whose ranks "
            "all read the same store; leave it out. trainer.devices works as ever."
        )
    check_logger(config.logger)
    folder = RunFolder(Path(config.out))
    folder.check(config)
    store = open_fingerprints(path)
    sizes = dict(zip(("subject", "session", "vertex"), store.shape[:3], strict=True))
    for plate, size in (config.train.batch or {}).items():
        if plate not in ("subject", "vertex") or not 1 <= size <= sizes[plate]:
            raise ValueError(
                f"train.batch draws {size} of plate {plate!r}; plates are "
                f"{ {p: sizes[p] for p in ('subject', 'vertex')} }, of which it takes 1 to all."
            )
        run = config.train.blocks.get(plate, 1)
        if size % run:
            raise ValueError(
                f"train.batch draws {size} of plate {plate!r}, which must be a multiple of "
                f"train.blocks, {run}."
            )
    cohort = Cohort.open(path) if (path / "cohort.json").is_file() else None
    if cohort is not None and len(cohort.truth.mu) != config.networks:
        raise ValueError(
            f"{path} was simulated with {len(cohort.truth.mu)} networks, and networks="
            f"{config.networks} were asked for."
        )
    return Prepared(config, folder, store, cohort)


def carry_out(prepared: Prepared, *, command: Sequence[str] = ()) -> dict[str, Any]:
    """Start, fit, draw and measure; what is done already is not done again.

    Args:
        prepared: The run.
        command: The command line, for the record.

    Returns:
        The final metrics; none on other ranks than the first.

    Raises:
        LoggerStartError: If the logger does not start.
        NonFiniteLossError: If the loss becomes NaN or infinite; the last checkpoint stays.
    """
    config, folder, files = prepared.config, prepared.folder, prepared.files
    if (done := folder.metrics) is not None:
        return done
    folder.create(config, provenance(seed=config.seed, command=command))
    start = reached_start(config, files, prepared.store)
    fit = build_fit(config, prepared.store, start)
    if not train(prepared, fit):
        return {}
    stream_labels(config, files, fit)
    metrics = measured(prepared, fit)
    write_figures(folder.path / "figures", files, metrics, prepared.cohort)
    folder.write_metrics(metrics)
    return metrics


def train(prepared: Prepared, fit: Fit) -> bool:
    """Train the guide, or read what was trained; returns whether this process is the first."""
    config, folder, files = prepared.config, prepared.folder, prepared.files
    if (held := files.tensors("weights")) is not None:
        fit.guide.load_state_dict(held)
        return True
    resume = checkpoint_to_resume(folder.checkpoints)
    history, identity = build_history(config.train.steps), RunIdentity()
    course = fixed_batch_course(config, fit)
    latents = fit.data.model.num_latents(fit.data.cardinalities)
    assert config.train.checkpoint_every is not None
    stop = StopSignals(keeps=True)
    callbacks: list[pl.Callback] = [
        history,
        identity,
        course,
        stop,
        StepLog(num_latents=latents),
        Checkpoints(folder.checkpoints, every=config.train.checkpoint_every, stop=stop),
        FitProgress(),
    ]
    with quiet():
        trainer = build_trainer(config, callbacks)
    first = trainer.is_global_zero
    identity.run_id = (resume and stored_run_id(resume)) or folder.provenance["run_id"]
    with (
        quiet(),
        opened_logger(config, folder, run_id=identity.run_id, first=first) as logger,
        timed(files, "train"),
    ):
        trainer.loggers = [logger]
        fit_until_stopped(trainer, fit.module, fit.stream, stop=stop, resume=resume)
    if first:
        fit.guide.cpu()
        files.write_tensors("weights", fit.guide.state_dict())
        files.write_history({"fixed_batch": course.state_dict(), **history.state_dict()})
    return first


def measured(prepared: Prepared, fit: Fit) -> dict[str, Any]:
    """What the run is worth, and what it took."""
    config, files, cohort = prepared.config, prepared.files, prepared.cohort
    elbo, seconds = files.tensors("elbo"), files.seconds
    assert elbo is not None
    per_draw = elbo["subjects"].sum(0) + elbo["shared"]
    sizes = fit.data.cardinalities
    labels = sizes["subject"] * sizes["vertex"] * config.networks
    found: dict[str, Any] = {
        "values": prod(prepared.store.shape),
        "label_logits": labels,
        "latents": fit.data.model.num_latents(sizes),
        "num_parameters": sum(p.numel() for p in fit.guide.parameters()),
        "minutes_fit": (seconds["start"] + seconds["train"]) / 60,
        "minutes_start": seconds["start"] / 60,
        "minutes_posterior": seconds["posterior"] / 60,
        "peak_rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "elbo": float(per_draw.mean()),
        "elbo_error": float(per_draw.std() / len(per_draw) ** 0.5),
        "steps": config.train.steps,
        "batch": dict(config.train.batch or {}),
    }
    return found if cohort is None else {**found, **compared(files, cohort)}


def main(arguments: Sequence[str]) -> int:
    """Run from the command line, as `experiments.run` does.

    Returns:
        The exit code, as that of `experiments.run`.
    """
    source, *overrides = arguments
    command = command_line("experiments.run", list(arguments))
    try:
        config = load_as(ParcellationConfig, source, overrides)
        config.out = config.out or f"runs/{Path(source).stem}-{config.seed}"
        prepared = prepare(config)
        metrics = carry_out(prepared, command=command)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (NonFiniteLossError, DiskFullError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ENDS as end:
        return told(end, where="Stages that are complete are kept.", command=command)
    if metrics:
        shown = {name: value for name, value in metrics.items() if name not in DETAILS}
        print(json.dumps({"out": config.out, **shown}))
    return 0
