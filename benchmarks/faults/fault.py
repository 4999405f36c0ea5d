"""A fault: what is done to a run, and how it was survived."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import final

from benchmarks.faults.programs import ALONE, Program
from benchmarks.faults.record import WEIGHTS, Record, logged, unfinished
from benchmarks.faults.victim import started
from pavi.training.checkpoint_files import damage
from pavi.training.checkpoints import found_checkpoints

RESUMED = re.compile(r"going on from .*step=(\d+)")


class NotTriedError(Exception):
    """This machine or user cannot do it."""


class NotSurvivedError(Exception):
    """What the run did is not what it should have done."""


@final
@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        name: What.
        strike: Does it to a run that it starts in a folder; returns how the run ended, in words.
            It raises `NotSurvivedError` if that was in another way than it should.
        program: What is run.
        room: The size of the disk that the run has for itself, as `mount` reads it; that of all
            others by default.
    """

    name: str
    strike: Callable[[Path], str]
    program: Program = ALONE
    room: str | None = None


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Args:
        fault: What was done to it.
        ended: How it ended then, or why it was not tried.
        tried: Whether it could be done at all.
        difference: Between its parameters in the end and those of an undisturbed run, if known.
        complaint: What was not survived, if anything.
    """

    fault: str
    ended: str = ""
    tried: bool = True
    difference: float | None = None
    complaint: str | None = None


def outcome(fault: Fault, calm: Record) -> Outcome:
    """Do it to a run, go on with the run, and compare its end with that of an undisturbed one."""
    ended = ""
    with tempfile.TemporaryDirectory() as name:
        try:
            with _disk(Path(name) / "disk", fault.room) as disk:
                folder = disk / "run"
                ended = fault.strike(folder)
                before = logged(folder)
                found = _gone_on(folder, program=fault.program)
                complaint = _complaint(found, folder, before, calm)
        except NotTriedError as error:
            return Outcome(fault.name, str(error), tried=False)
        except NotSurvivedError as error:
            return Outcome(fault.name, ended, complaint=str(error))
    difference = found.difference(calm)
    return Outcome(fault.name, ended, difference=difference, complaint=complaint)


def _gone_on(folder: Path, *, program: Program) -> Record:
    """The run, when the same command has gone on with it, from its last sound checkpoint.

    To start anew would lead to the same end.
    """
    kept = found_checkpoints(folder / "checkpoints")
    sound = [step for step, path in kept.items() if damage(path) is None]
    fitted = any((folder / name).is_file() for name in ("metrics.json", WEIGHTS))
    expected = max(sound) if sound and not fitted else None
    victim = started(folder, program=program)
    codes = victim.wait()
    said = victim.said()
    if any(code != 0 for code in codes):
        raise NotSurvivedError(f"going on ended with {codes}: {said[-300:]}")
    begun = RESUMED.search(said)
    if (int(begun[1]) if begun else None) != expected:
        raise NotSurvivedError(f"the run should have gone on from step {expected}: {said[-300:]}")
    return Record.of(folder)


def _complaint(
    found: Record, folder: Path, before: dict[tuple[str, str], str], calm: Record
) -> str | None:
    if lost := [key for key, value in before.items() if found.rows.get(key) != value]:
        return f"{len(lost)} logged values were lost"
    if left := unfinished(folder):
        return f"{left} were left unfinished"
    return found.complaint(calm)


@contextmanager
def _disk(path: Path, room: str | None) -> Iterator[Path]:
    """A folder for a run, on a disk of its own if it is to have one."""
    path.mkdir()
    if room is None:
        yield path
        return
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "pavi-faults", str(path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise NotTriedError("only root may mount a small disk")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
