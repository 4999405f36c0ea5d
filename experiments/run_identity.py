"""The name under which a logging service knows a run, which its checkpoints carry on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import pytorch_lightning as pl
import torch

from pavi.training import common_file


@final
class RunIdentity(pl.Callback):
    """Keeps the id of a run in its checkpoints.

    Args:
        run_id: The id, once it is known.
    """

    def __init__(self, run_id: str | None = None) -> None:
        self.run_id = run_id

    @property
    def state_key(self) -> str:
        """Where a checkpoint keeps it."""
        return "RunIdentity"

    def state_dict(self) -> dict[str, Any]:
        """For checkpoints."""
        return {"run_id": self.run_id}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint; one without an id leaves the id as it is."""
        self.run_id = state_dict["run_id"] or self.run_id


def stored_run_id(checkpoint: Path) -> str | None:
    """The id in a checkpoint, or None if it was written without one."""
    file = common_file(checkpoint)
    held = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    return held.get("callbacks", {}).get("RunIdentity", {}).get("run_id")
