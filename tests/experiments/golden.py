"""The first ten losses of every debug config, on the CPU in float64.

A change of these numbers is a change of what is computed, and needs a word in the commit that
makes it. To write them anew: `python tests/experiments/golden.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

from experiments.build import build, build_trainer
from experiments.config_file import load
from pavi.training import History
from pavi.training.quiet import quiet

STEPS = 10
FILE = Path(__file__).parent / "golden.json"
CONFIGS = sorted((Path(__file__).parents[2] / "configs" / "debug").glob("*.yaml"))


def losses(path: Path) -> list[float]:
    overrides = [f"train.steps={STEPS}", "precision=float64", "trainer.accelerator=cpu"]
    config = load(path, overrides)
    experiment, history = build(config), History(every=1)
    with quiet():
        trainer = build_trainer(config, [history], checkpoints=False)
        trainer.fit(experiment.module, experiment.stream)
    return [-elbo for elbo in history.elbo]


if __name__ == "__main__":
    golden = {path.stem: losses(path) for path in CONFIGS}
    FILE.write_text(json.dumps(golden, indent=1) + "\n")
