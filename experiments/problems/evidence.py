"""The best known log evidences of the simulated problems at their default sizes, and of Chem97.

`evidence.json` holds, per problem, what a benchmark printed and the command. The values are
importance-weighted lower bounds that include all labellings of interchangeable components, but
that of `chem97`, which is an integral of three dimensions and exact to a thousandth of a nat.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import final

from pavi.files import write_text

PATH = Path(__file__).with_name("evidence.json")


@final
@dataclass(frozen=True)
class Evidence:
    """A log evidence, in nats.

    Args:
        value: With all labellings of interchangeable components.
        standard_error: Of the value.
        log_labellings: The part of the value that labellings beyond one bring; compare the ELBO
            of a guide that covers one labelling with `value - log_labellings`.
    """

    value: float
    standard_error: float
    log_labellings: float


def load_evidence(name: str, *, data_seed: int = 0) -> Evidence:
    """The best known log evidence of a problem.

    Raises:
        ValueError: If there is none of this name, or it is of other data.
    """
    stored = json.loads(PATH.read_text())
    if name not in stored:
        raise ValueError(f"no stored evidence of {name!r}; there are {sorted(stored)}.")
    entry = stored[name]
    if entry["data_seed"] != data_seed:
        raise ValueError(
            f"the stored evidence of {name!r} is of the data of seed {entry['data_seed']}, "
            f"got data_seed={data_seed}."
        )
    labellings = entry.get("log_labellings", 0.0)
    return Evidence(entry["log_evidence"], entry["standard_error"], labellings)


def save_evidence(name: str, figures: Mapping[str, object], *, command: str) -> None:
    """Store what a command found, in the place of what was there."""
    stored = json.loads(PATH.read_text()) if PATH.is_file() else {}
    stored[name] = {"command": command, **figures}
    write_text(PATH, json.dumps(stored, indent=1, sort_keys=True) + "\n")
