"""The demo: a three-level model of 31,022 A-level scores, beside its NUTS reference.

python -m experiments.demo --out results/chem97
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from experiments.build import build, build_trainer
from experiments.comparison import compare, compare_groups, global_table, group_table
from experiments.config import ExperimentConfig
from experiments.config_file import load
from experiments.figures import caterpillar, elbo_curve, save
from experiments.problems.reference import load_reference
from experiments.provenance import ROOT, command_line, provenance
from pavi import Posterior
from pavi.files import write_text
from pavi.posterior import Summary
from pavi.training import FitProgress, History, StopSignals, fit_until_stopped
from pavi.training.quiet import quiet

CONFIG = ROOT / "configs" / "chem97.yaml"
SUMMARY_DRAWS = 4000


def fit(config: ExperimentConfig) -> Posterior:
    """Fit what a config says, with a bar and without a run folder."""
    experiment = build(config)
    history = History()
    with quiet():
        stop = StopSignals(keeps=False)
        trainer = build_trainer(config, [history, stop, FitProgress()], checkpoints=False)
        fit_until_stopped(trainer, experiment.module, experiment.stream, stop=stop, resume=None)
    guide = experiment.module.guide.cpu()
    return Posterior(guide, experiment.data, history=history.state_dict())


def draw_figures(posterior: Posterior, summary: Summary, folder: Path, *, elbo: float) -> None:
    """The ELBO curve, the school effects and the plate diagram."""
    save(elbo_curve(posterior.history, final=elbo), folder / "elbo.png")
    low, *_, high = summary.quantiles["school_effect"].numpy()
    mean = summary.mean["school_effect"].numpy()
    figure = caterpillar(mean, low, high, groups="schools", unit="points of the A-level score")
    save(figure, folder / "schools.png")
    for name in ("model.svg", "model.png"):
        posterior.model.graph(folder / name, cardinalities=posterior.data.cardinalities)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, compare, draw; returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(prog="python -m experiments.demo", description="The demo.")
    parser.add_argument("--out", type=Path, default=Path("results/chem97"), help="a folder")
    parser.add_argument("--steps", type=int, help="steps of the fit, instead of the config's")
    parsed = parser.parse_args(given)
    try:
        overrides = [] if parsed.steps is None else [f"train.steps={parsed.steps}"]
        config = load(CONFIG, overrides)
        folder = _folder(parsed.out)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # Before any result is overwritten, which would make the working tree dirty.
    origin = provenance(seed=config.seed, command=command_line("experiments.demo", given))
    posterior = fit(config)
    elbo = posterior.elbo(draws=config.eval_draws)
    summary = posterior.summary(draws=SUMMARY_DRAWS)
    reference = load_reference("chem97")
    ours, groups = compare(summary, reference), compare_groups(summary, reference)
    seconds = posterior.history["seconds"][-1]
    console = Console()
    console.print(global_table(ours, title=f"Chem97: fitted in {seconds:.0f} s, and NUTS"))
    console.print(group_table(groups))
    folder.mkdir(parents=True, exist_ok=True)
    draw_figures(posterior, summary, folder, elbo=elbo.mean)
    result = {
        "elbo": elbo.mean,
        "standard_error": elbo.standard_error,
        "seconds": seconds,
        "globals": {
            name: {**dataclasses.asdict(row), "z": row.z, "sd_ratio": row.sd_ratio}
            for name, row in ours.items()
        },
        "groups": {name: dataclasses.asdict(row) for name, row in groups.items()},
        "provenance": origin,
    }
    write_text(folder / "comparison.json", json.dumps(result, indent=1) + "\n")
    console.print(f"ELBO {elbo.mean:,.1f} \N{PLUS-MINUS SIGN} {elbo.standard_error:.1f} nats")
    console.print(f"Figures and comparison.json are in {folder}", soft_wrap=True)
    return 0


def _folder(path: Path) -> Path:
    """The folder for results, seen to be usable before the fit."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"--out {path} is a file; it must be a folder, new or not.")
    return path


if __name__ == "__main__":
    sys.exit(main())
