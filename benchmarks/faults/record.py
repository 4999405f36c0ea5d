"""What a run has written, compared between runs and between moments of one run."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from safetensors.torch import load

# What no two runs share.
TIMES = re.compile(r"(^|/)(seconds|step_ms|wait_ms|minutes_\w+|peak_rss_gb)$")
WEIGHTS = "weights.safetensors"
# What a parcellation streams to the disk, beside its weights.
STREAMED = (
    "labels/values.npy",
    "labels/manifest.json",
    "elbo.safetensors",
    "group.safetensors",
)
UNFINISHED = ".part"


@final
@dataclass(frozen=True)
class Record:
    """What is in the folder of a complete run.

    Args:
        weights: Of the posterior.
        history: The course of the ELBO.
        metrics: The final ones.
        rows: The logged values, by step and name.
        streamed: The content of the files of a posterior that is streamed, by name.
    """

    weights: dict[str, torch.Tensor]
    history: dict[str, object]
    metrics: dict[str, object]
    rows: dict[tuple[str, str], str]
    streamed: dict[str, bytes]

    @classmethod
    def of(cls, folder: Path) -> Record:
        """Read a run folder, that of a parcellation too."""
        metrics = json.loads((folder / "metrics.json").read_text())
        parcellation, posterior = (folder / WEIGHTS).is_file(), folder / "posterior"
        if parcellation:
            history = json.loads((folder / "history.json").read_text())
        else:
            history = json.loads((posterior / "posterior.json").read_text())["history"]
        # From bytes: a file that is mapped to memory keeps its disk busy.
        weights = load(((folder if parcellation else posterior) / WEIGHTS).read_bytes())
        streamed = STREAMED if parcellation else ()
        return cls(
            weights,
            _without_times(history),
            _without_times(metrics),
            logged(folder),
            {name: (folder / name).read_bytes() for name in streamed},
        )

    def difference(self, other: Record) -> float:
        """The largest difference between two parameters."""
        return max(
            float((value.double() - other.weights[name].double()).abs().max())
            for name, value in self.weights.items()
        )

    def complaint(self, calm: Record) -> str | None:
        """What is not as in an undisturbed run, in words."""
        same = all(value.equal(calm.weights[name]) for name, value in self.weights.items())
        changes = {
            "parameters": same,
            "the course of the ELBO": self.history == calm.history,
            "metrics": self.metrics == calm.metrics,
            "logged values": self._logs_as(calm),
            "the streamed posterior": self.streamed == calm.streamed,
        }
        found = [name for name, fine in changes.items() if not fine]
        return f"differs in {', '.join(found)}" if found else None

    def _logs_as(self, calm: Record) -> bool:
        """Whether the logs agree; a process may die between a checkpoint and its step's row."""
        absent = {step for step, name in calm.rows.keys() - self.rows.keys()}
        return self.rows.items() <= calm.rows.items() and len(absent) <= 1


def logged(folder: Path) -> dict[tuple[str, str], str]:
    """What all starts of a run have logged, by step and name, but times.

    The last line counts if it is complete.
    """
    found: dict[tuple[str, str], str] = {}
    for file in sorted((folder / "logs").glob("version_*/metrics.csv")):
        lines = file.read_text().rpartition("\n")[0].splitlines()
        for row in csv.DictReader(lines):
            for name, value in row.items():
                if value and not TIMES.search(name):
                    found[row["step"], name] = value
    return found


def _without_times(named: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_times(value) if isinstance(value, dict) else value
        for name, value in named.items()
        if not TIMES.search(name)
    }


def unfinished(folder: Path) -> list[str]:
    """What lies about that was not finished."""
    beside = folder.parent.glob(f".{folder.name}.*{UNFINISHED}")
    within = (path for path in folder.rglob(f".*{UNFINISHED}"))
    return sorted(str(path.relative_to(folder.parent)) for path in (*beside, *within))
