"""Starting one or several ranks of a module, each on one thread."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
    command = [sys.executable, *(torchrun if ranks > 1 else []), "-m", module]
    finished = subprocess.run(
        [*command, *map(str, arguments)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in finished.stdout.splitlines() if line.startswith("{")]
    if finished.returncode or not lines:
        raise RuntimeError(f"{module} on {ranks} ranks failed:\n{finished.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found
