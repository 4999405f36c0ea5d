"""One of the paper's ablations: its runs, its table and its figure.

python -m experiments.reproduce E3 --preset desk
python -m experiments.reproduce E1 logger=wandb trainer.devices=2 trainer.strategy=ddp
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.config_file import plain
from experiments.figures import save
from experiments.provenance import command_line, provenance
from experiments.run_folder import RunFolder
from experiments.studies.carry_out import Outcome, outcomes
from experiments.studies.config import StudyConfig, load_study, study_names
from experiments.studies.plan import PlannedRun, plan
from experiments.studies.reference import failures, with_gaps
from experiments.studies.report import Findings
from experiments.studies.reports import REPORTS
from experiments.studies.rows import courses, tidy
from experiments.tables import cell, markdown
from pavi.files import write_text

COMMITTED, SMOKE = "desk", "smoke"  # the preset whose results are kept; one that only runs


def reproduce(
    name: str, study: StudyConfig, runs: Sequence[PlannedRun], *, jobs: int, console: Console
) -> list[Outcome]:
    """Carry out what is not complete; the outcomes in the order of the plan."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    found: list[Outcome] = []
    with Progress(*columns, TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task(f"{name}: {study.question}", total=len(runs))
        for outcome in outcomes(runs, jobs=jobs):
            found.append(outcome)
            bar.advance(task)
            if outcome.error:
                bar.console.print(f"{outcome.run.name} failed: {outcome.error}", markup=False)
    place = {run.folder: index for index, run in enumerate(runs)}
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
    rows, course = with_gaps(tidy(found)), courses(found)
    write_text(folder / "runs.csv", rows.to_csv(index=False))
    if len(course):
        write_text(folder / "courses.csv", course.to_csv(index=False))
    report, findings = REPORTS[name], Findings(rows, course, study.axis)
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
    text = markdown(table, caption=caption)
    if broken:
        text += "\nRuns that failed:\n\n" + "".join(f"* {cell(line)}\n" for line in broken)
    write_text(folder / "table.md", text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line.

    Returns:
        The exit code: 0, 1 if a run failed, 2 if what was asked for is wrong, 130 on Ctrl-C.
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
    name, preset = parsed.name, parsed.preset
    label = f"{name}-{preset}"
    out = Path(parsed.out or f"runs/reproduce/{label}")
    results = Path(parsed.results or f"results/{name if preset == COMMITTED else label}")
    try:
        study = load_study(name)
        runs = plan(name, study, preset, out=out, overrides=parsed.overrides)
        _check(study, runs, jobs=parsed.jobs)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        found = reproduce(name, study, runs, jobs=parsed.jobs, console=Console(stderr=True))
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from what is there.", file=sys.stderr)
        return 130
    about = provenance(seed=0, command=command_line("experiments.reproduce", given))
    tell(name, study, found, results, about={"preset": preset, "jobs": parsed.jobs, **about})
    broken = failures(found)
    line = {"results": str(results), "runs": len(found), "failed": len(broken)}
    print(json.dumps(line))
    return 1 if broken else 0


def _check(study: StudyConfig, runs: Sequence[PlannedRun], *, jobs: int) -> None:
    """Nothing is started that could not be told apart or compared.

    Raises:
        ValueError: If a run folder holds a run of another config, or seconds would be measured on
            a shared machine.
    """
    if jobs < 1:
        raise ValueError(f"--jobs must be positive, got {jobs}.")
    if study.timed and jobs > 1:
        raise ValueError(f"this study measures seconds, so its runs go alone; got --jobs {jobs}.")
    for run in runs:
        RunFolder(run.folder).check(run.config)


if __name__ == "__main__":
    sys.exit(main())
