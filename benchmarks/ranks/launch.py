"""Starting one or several ranks of a module, each on one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def launched(module: str, *arguments: object, ranks: int) -> dict[str, Any]:
    """Run a module on so many ranks; the JSON that its first rank prints last.

    Args:
        module: Its name.
        arguments: Of its command line.
        ranks: How many; one is started without torchrun.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    line = last_line(
        [*rank_command(module, ranks), *map(str, arguments)],
        f"{module} on {ranks} ranks",
        environment=one_thread(),
    )
    found: dict[str, Any] = json.loads(line)
    return found


def rank_command(module: str, ranks: int) -> list[str]:
    """The command that runs a module on so many ranks; one is started without torchrun."""
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    return [sys.executable, *(torchrun if ranks > 1 else []), "-m", module]


def one_thread() -> dict[str, str]:
    """The environment of a rank."""
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def last_line(
    command: Sequence[str], name: str, *, environment: Mapping[str, str] | None = None
) -> str:
    """The line of JSON that a command prints last.

    Args:
        command: The command.
        name: What to call it in an error.
        environment: Of the command; this one's by default.

    Raises:
        RuntimeError: If it fails, with what it said.
    """
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
    if finished.returncode or not lines:
        raise RuntimeError(
            f"{name} failed (exit code {finished.returncode}):\n{finished.stderr[-3000:]}"
        )
    return lines[-1]
