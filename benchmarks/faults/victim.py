"""A program in processes of its own, to which something is done.

Processes are forked from one that has imported everything, so that they start in no time.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import final

from benchmarks.faults.programs import ALONE, EVERY, Program
from pavi.training.checkpoints import found_checkpoints

PATIENCE = 120.0  # seconds until a process counts as hanging
# What a process does first, given its rank, such as to prepare its own end.
Hook = Callable[[int], None]


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

    def reaches(self, folder: Path, checkpoint: int) -> None:
        """Wait until it has written so many checkpoints, or has ended."""
        while self.ranks[0].is_alive():
            steps = found_checkpoints(folder / "checkpoints")
            if max(steps, default=0) >= checkpoint * EVERY:
                return
            time.sleep(0.001)

    def said(self) -> str:
        """What they said."""
        return self.log.read_text(errors="replace")


def started(folder: Path, *, program: Program = ALONE, hook: Hook | None = None) -> Victim:
    """Start a program, or go on with it; what it says is beside the disk that it writes to.

    Args:
        folder: Where it writes to.
        program: Which.
        hook: What each process does first.
    """
    log, port = folder.parents[1] / "log", _free_port()
    log.unlink(missing_ok=True)  # of an earlier start
    if program.prepare is not None:
        program.prepare(folder)
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_live, args=(program, folder, rank, port, log, hook))
        for rank in range(program.ranks)
    ]
    for process in processes:
        process.start()
    return Victim(processes, log)


def _live(
    program: Program, folder: Path, rank: int, port: int, log: Path, hook: Hook | None
) -> None:
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(stream, descriptor)
    if program.ranks > 1:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
        os.environ |= {"LOCAL_RANK": str(rank), "WORLD_SIZE": str(program.ranks)}
    if hook is not None:
        hook(rank)
    sys.exit(program.run(folder))


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
