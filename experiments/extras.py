"""What the programs of this package need besides pavi."""

from __future__ import annotations

from importlib.util import find_spec

# What they import at the top; tensorboard, wandb and submitit are asked for by who needs them.
NEEDED = ("matplotlib", "omegaconf", "optuna", "pandas", "scipy", "yaml")


def absent_extras() -> str | None:
    """What is missing and how to install it, in one sentence; None if nothing is."""
    absent = [name for name in NEEDED if find_spec(name) is None]
    if not absent:
        return None
    return (
        f"error: the programs of experiments need {', '.join(absent)}, which pavi itself does "
        "not: pip install 'pavi-torch[experiments]', or make install."
    )
