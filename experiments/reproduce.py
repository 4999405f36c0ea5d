"""One of the paper's ablations: its runs, its table and its figure.

python -m experiments.reproduce E3 --preset desk
python -m experiments.reproduce E1 logger=wandb trainer.devices=2 trainer.strategy=ddp
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from experiments.config_file import plain
from experiments.ends import ENDS, told
from experiments.figures import save
from experiments.folder_lock import locked
from experiments.provenance import command_line, provenance
from experiments.run_folder import RunFolder
from experiments.studies.carry_out import outcomes
from experiments.studies.config import StudyConfig, load_study, study_names
from experiments.studies.crew import Crew
from experiments.studies.outcome import Outcome
from experiments.studies.plan import PlannedRun, plan
from experiments.studies.reference import failures, with_gaps
from experiments.studies.report import Findings
from experiments.studies.reports import REPORTS
from experiments.studies.rows import tidy
from experiments.tables import cell, markdown
from pavi.files import write_text
from pavi.training import exits_on_signals

COMMITTED, SMOKE = "desk", "smoke"  # the preset whose results are kept; one that only runs


def reproduce(
    name: str, study: StudyConfig, runs: Sequence[PlannedRun], crew: Crew, *, console: Console
) -> list[Outcome]:
    """Carry out what is not complete; the outcomes in the order of the plan.

    Args:
        name: Of the study.
        study: Its config.
        runs: Its runs.
        crew: On which processes.
        console: For the progress: of the study, and of the runs that are under way.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[count]}"))
    found: list[Outcome] = []
    place = {run.folder: index for index, run in enumerate(runs)}
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        title = f"{name}: {study.question}"
        whole = bar.add_task(title, total=len(runs), count=f"0/{len(runs)}")
        lines: dict[Path, TaskID] = {}

        def begun(run: PlannedRun) -> None:
            lines[run.folder] = bar.add_task(run.name, total=None, count="")

        # Closed, since that is what ends the processes of an interrupted study.
        with closing(outcomes(runs, crew, begun=begun)) as ended:
            for outcome in ended:
                found.append(outcome)
                bar.update(whole, advance=1, count=f"{len(found)}/{len(runs)}")
                if (line := lines.pop(outcome.run.folder, None)) is not None:
                    bar.remove_task(line)
                if outcome.error:
                    bar.console.print(f"{outcome.run.name} failed: {outcome.error}", markup=False)
    return sorted(found, key=lambda outcome: place[outcome.run.folder])


def tell(
    name: str, study: StudyConfig, found: list[Outcome], folder: Path, *, about: dict[str, object]
) -> None:
    """Write the tidy table, the provenance, the figure and the Markdown table of a study.

    Args:
        name: Of the study.
        study: Its config.
        found: What came of its runs.
        folder: Where to write to.
        about: Where the results come from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = with_gaps(tidy(found))
    write_text(folder / "runs.csv", rows.to_csv(index=False))
    report, findings = REPORTS[name], Findings(rows, study.axis)
    figure = report.figure(findings)
    for ending in ("png", "svg"):
        save(figure, folder / f"figure.{ending}")
    table = report.table(findings)
    broken = failures(found)
    record = {**about, "study": plain(study), "failures": broken, "table": table}
    write_text(folder / "study.json", json.dumps(record, indent=1) + "\n")
    caption = f"# {name}: {study.question}\n\nThe paper's claim: {study.claim}\n\n{report.note}"
    if about["preset"] == SMOKE:
        caption += "\n\nPreset smoke: a few steps, which show that it runs and nothing else."
    if overrides := about["overrides"]:
        caption += f"\n\nEvery run with `{overrides}`."
    text = markdown(table, caption=caption)
    if broken:
        text += "\nRuns that failed:\n\n" + "".join(f"* {cell(line)}\n" for line in broken)
    write_text(folder / "table.md", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0, 1 if a run failed, 2 if what was asked for is wrong, 130 on Ctrl-C, 75
        if the same command can go on after a signal.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="python -m experiments.reproduce", description="One of the paper's ablations."
    )
    parser.add_argument("name", help=f"which: {', '.join(study_names())}")
    parser.add_argument("overrides", nargs="*", help="for every run, such as logger=wandb")
    parser.add_argument("--preset", default="smoke", help="smoke, desk or full")
    parser.add_argument("--jobs", type=int, default=1, help="processes that share the machine")
    parser.add_argument("--out", help="the folder of the runs; runs/reproduce/<name>-<preset>")
    parser.add_argument(
        "--results",
        help="the folder of what is made of them; results/<name>, or <name>-<preset>",
    )
    parsed = parser.parse_intermixed_args(given)
    with exits_on_signals():
        return _reproduce(parsed, command_line("experiments.reproduce", given))


def _reproduce(parsed: argparse.Namespace, command: Sequence[str]) -> int:
    """Plan, carry out and tell; returns the exit code."""
    name, preset = parsed.name, parsed.preset
    label = f"{name}-{preset}"
    out = Path(parsed.out or f"runs/reproduce/{label}")
    results = Path(parsed.results or f"results/{name if preset == COMMITTED else label}")
    with ExitStack() as stack:
        try:
            study = load_study(name)
            runs = plan(name, study, preset, out=out, overrides=parsed.overrides)
            _check(study, runs, jobs=parsed.jobs)
            lock = stack.enter_context(locked(out, what="study"))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        try:
            crew = Crew(parsed.jobs, command=command, logs=out / "workers", lock=lock)
            found = reproduce(name, study, runs, crew, console=Console(stderr=True))
        except ENDS as end:
            return told(end, where=f"Complete runs are in {out}.", command=command)
    about = provenance(seed=0, command=command)
    settings = {"jobs": parsed.jobs, "overrides": " ".join(parsed.overrides)}
    tell(name, study, found, results, about={"preset": preset, **about, **settings})
    broken = failures(found)
    line = {"results": str(results), "runs": len(found), "failed": len(broken)}
    print(json.dumps(line))
    return 1 if broken else 0


def _check(study: StudyConfig, runs: Sequence[PlannedRun], *, jobs: int) -> None:
    """Nothing is started that could not be told apart or compared.

    Raises:
        ValueError: If a run folder holds a run of another config, seconds would be measured on
            a shared machine, or rows are to be split that no run has.
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be positive, got {jobs}.")
    if study.timed and jobs > 1:
        raise ValueError(f"this study measures seconds, so its runs go alone; got --jobs {jobs}.")
    for run in runs:
        RunFolder(run.folder, option="--out").check(run.config)
        if run.datasets is not None and run.config.trainer.shard is not None:
            raise ValueError(
                f"trainer.shard={run.config.trainer.shard} splits the rows of one data set over "
                f"devices, and {run.method} is trained over many; leave it out: with "
                "trainer.devices alone every device draws data sets of its own."
            )


if __name__ == "__main__":
    sys.exit(main())
