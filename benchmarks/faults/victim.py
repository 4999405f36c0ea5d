"""A run in a process of its own, to which something is done.

Processes are forked from one that has imported everything, so that they start in no time.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import final

from experiments.provenance import ROOT
from experiments.run import main

STEPS, EVERY, LOG_EVERY = 240, 20, 4
RUN = (
    str(ROOT / "configs" / "debug" / "gre_affine.yaml"),
    f"train.steps={STEPS}",
    f"train.checkpoint_every={EVERY}",
    f"train.log_every={LOG_EVERY}",
)
ON_TWO = ("trainer.devices=2", "trainer.strategy=ddp", "trainer.accelerator=cpu")
PATIENCE = 120.0  # seconds until a process counts as hanging
Hook = Callable[[], None]


@final
@dataclass(frozen=True)
class Victim:
    """The processes of a run, one per rank.

    Args:
        ranks: The processes.
        log: Where they write what they say.
    """

    ranks: Sequence[ForkProcess]
    log: Path

    def wait(self, *, patience: float = PATIENCE) -> list[int | None]:
        """The exit codes, negative after a signal; None where a process had to be killed."""
        codes = []
        for rank in self.ranks:
            rank.join(patience)
            codes.append(rank.exitcode)
            if rank.exitcode is None:
                rank.kill()
                rank.join()
        return codes

    def said(self) -> str:
        """What they said."""
        return self.log.read_text(errors="replace")


def started(folder: Path, *, ranks: int = 1, hook: Hook | None = None) -> Victim:
    """Start a run, or go on with one; what it says is beside the disk that it writes to.

    Args:
        folder: The run folder.
        ranks: How many processes it has.
        hook: What each does first, such as to prepare its own end.
    """
    arguments = [*RUN, f"out={folder}", *(ON_TWO if ranks > 1 else ())]
    log, port = folder.parents[1] / "log", _free_port()
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_live, args=(arguments, rank, ranks, port, log, hook))
        for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    return Victim(processes, log)


def _live(
    arguments: Sequence[str], rank: int, ranks: int, port: int, log: Path, hook: Hook | None
) -> None:
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(stream, descriptor)
    if ranks > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
        os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(ranks)}
    if hook is not None:
        hook()
    sys.exit(main(arguments))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
