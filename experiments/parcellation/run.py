"""One parcellation: start, fit, posterior, and what they are worth, in a folder.

python -m experiments.run configs/hcp_like/full.yaml cohort=runs/cohort
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, final

from experiments.build import check_processes, place_of
from experiments.config_file import load_as
from experiments.ends import exit_code
from experiments.fit_stage import FitStage
from experiments.hcp_like.cohort import Cohort
from experiments.loggers import check_logger, log_end
from experiments.parcellation.assessment import compared
from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.course import FixedBatchCourse
from experiments.parcellation.fingerprints import open_fingerprints
from experiments.parcellation.ranks import Ranks, joined
from experiments.parcellation.report import write_figures
from experiments.parcellation.run_files import RunFiles
from experiments.parcellation.stages import (
    SUBJECT,
    Fit,
    build_fit,
    fixed_batch_course,
    reached_start,
    stream_labels,
    timed,
)
from experiments.peak_memory import peak_rss_gb
from experiments.provenance import command_line, provenance
from experiments.run_folder import RunFolder
from pavi.data.stores import MemmapStore
from pavi.training import History, assembled

# Of the metrics, those that are for figures and not for a line of text.
DETAILS = ("subject_accuracy", "reliability")
STORE = "store"  # where the provenance of a run says what data it is on


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


def prepare(config: ParcellationConfig) -> Prepared:
    """See that a run can start or go on.

    Raises:
        ValueError: If the folder holds another run, there is no such cohort, or the config does
            not fit it.
    """
    assert config.out is not None
    path = Path(config.cohort)
    if config.trainer.shard not in (None, SUBJECT):
        raise ValueError(
            f"trainer.shard={config.trainer.shard}: a parcellation is split by subject; use "
            "trainer.shard=subject, or leave it out for all subjects on every device."
        )
    check_processes(config.trainer)
    check_logger(config.logger)
    folder = RunFolder(Path(config.out))
    folder.check(config)
    store = open_fingerprints(path)
    if folder.is_begun and folder.provenance.get(STORE, store.digest) != store.digest:
        raise ValueError(
            f"{folder.path} holds a run on other data: the store {store.folder} is not that which "
            "it began with. Choose another folder with out=..., or delete it."
        )
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
    _check_ranks(config, sizes[SUBJECT])
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
    config, folder = prepared.config, prepared.folder
    if (done := folder.metrics) is not None:
        rank, _ = place_of(config.trainer)
        return {} if rank else done
    ranks = joined(config.trainer)
    files = RunFiles(folder.path, writes=ranks.first)

    def create() -> None:
        if ranks.first:
            origin = provenance(seed=config.seed, command=command)
            folder.create(config, {**origin, STORE: prepared.store.digest})

    ranks.together(create)
    start = reached_start(config, files, prepared.store, ranks)
    fit = build_fit(config, prepared.store, start, ranks)
    course = fixed_batch_course(config, fit)
    stage = FitStage.of(
        config,
        folder,
        History(),
        latents=fit.data.model.num_latents(fit.data.cardinalities),
        sharded=fit.shard is not None,
        callbacks=[course],
        progress=True,
    )
    with stage.logged() as logger:
        train(files, fit, stage, course)
        stream_labels(config, files, fit, ranks)
        metrics = measured(prepared, files, fit, ranks)
        if not ranks.first:
            return {}
        figures = write_figures(folder.path / "figures", files, metrics, prepared.cohort)
        overlaps = {f"dice/{k}": v for k, v in enumerate(metrics.get("dice", ()))}
        log_end(logger, {**metrics, **overlaps}, figures, step=config.train.steps)
    folder.write_metrics(metrics)
    return metrics


def train(files: RunFiles, fit: Fit, stage: FitStage, course: FixedBatchCourse) -> None:
    """Train the guide, or read what was trained.

    A guide that is split is read from the checkpoint of the last step, of which every rank takes
    its own rows.

    Args:
        files: Of the run.
        fit: What is fitted.
        stage: The fit, whose log is open.
        course: The ELBO on a fixed batch, one of the callbacks of `stage`.
    """
    held = None if fit.shard is not None or files.history is None else files.tensors("weights")
    if held is not None:
        fit.guide.load_state_dict(held)
        return
    if stage.resume is not None and files.writes:
        print(f"going on from {stage.resume}", file=sys.stderr)
    with timed(files, "train"):
        stage.fit(fit.module, fit.stream)
    guide = fit.guide.cpu()
    if fit.shard is not None:
        guide = assembled(guide, fit.shard)
    if files.writes:
        files.write_tensors("weights", guide.state_dict())
        files.write_history({"fixed_batch": course.state_dict(), **stage.history.state_dict()})


def measured(prepared: Prepared, files: RunFiles, fit: Fit, ranks: Ranks) -> dict[str, Any]:
    """What the run is worth, and what it took; of all ranks, but for the memory."""
    config, cohort = prepared.config, prepared.cohort
    elbo, seconds = files.tensors("elbo"), files.seconds
    assert elbo is not None
    per_draw = elbo["subjects"].sum(0) + elbo["shared"]
    sizes = fit.data.cardinalities
    labels = sizes["subject"] * sizes["vertex"] * config.networks
    found: dict[str, Any] = {
        "values": prod(prepared.store.shape),
        "label_logits": labels,
        "latents": fit.data.model.num_latents(sizes),
        "num_parameters": fit.num_parameters,
        "minutes_fit": (seconds["start"] + seconds["train"]) / 60,
        "minutes_start": seconds["start"] / 60,
        "minutes_posterior": seconds["posterior"] / 60,
        "peak_rss_gb": peak_rss_gb(),
        "elbo": float(per_draw.mean()),
        "elbo_error": float(per_draw.std() / len(per_draw) ** 0.5),
        "steps": config.train.steps,
        "batch": dict(config.train.batch or {}),
    }
    return found if cohort is None else {**found, **compared(files, cohort, ranks)}


def main(arguments: Sequence[str]) -> int:
    """Run from the command line, as `experiments.run` does.

    Returns:
        The exit code, as that of `experiments.run`.
    """
    source, *overrides = arguments
    command = command_line("experiments.run", list(arguments))

    def run() -> None:
        config = load_as(ParcellationConfig, source, overrides)
        config.out = config.out or f"runs/{Path(source).stem}-{config.seed}"
        if metrics := carry_out(prepare(config), command=command):
            shown = {name: value for name, value in metrics.items() if name not in DETAILS}
            print(json.dumps({"out": config.out, **shown}))

    return exit_code(run, where=lambda: "Stages that are complete are kept.", command=command)


def _check_ranks(config: ParcellationConfig, subjects: int) -> None:
    """See that every rank has a subject, and as many as it draws where the fit is split."""
    ranks = config.trainer.devices * config.trainer.nodes
    split = config.trainer.shard is not None
    needed = (config.train.batch or {}).get(SUBJECT, 1) if split else 1
    if (least := subjects // ranks) < needed:
        asked = f"trainer.shard={SUBJECT}" if split else "trainer.devices"
        raise ValueError(
            f"{asked}: {ranks} ranks share {subjects} rows of plate '{SUBJECT}', so that one has "
            f"{least}, and needs {needed}; use at most {subjects // needed} devices"
            + ("." if needed == 1 else f", or draw fewer with train.batch.{SUBJECT}=...")
        )
