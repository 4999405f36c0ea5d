"""What commands found, one file each, so that an interrupted race goes on where it was."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final


@final
@dataclass(frozen=True)
class Record:
    """A folder with a JSON file for each command that has finished.

    Args:
        folder: The folder.
    """

    folder: Path

    def found(self, name: str, command: Sequence[str]) -> dict[str, Any] | None:
        """What the command found; None if it has not run, has failed, or was another command."""
        path = self.folder / f"{name}.json"
        if not path.is_file():
            return None
        entry = json.loads(path.read_text())
        return entry.get("found") if entry["command"] == shlex.join(command) else None

    def obtain(
        self, name: str, command: Sequence[str], run: Callable[[], dict[str, Any]]
    ) -> dict[str, Any] | None:
        """What the command found, now or before; None if it fails, with the error in its file.

        Args:
            name: Of the file.
            command: What is run, for the record.
            run: Runs it.
        """
        if (found := self.found(name, command)) is not None:
            return found
        entry: dict[str, Any] = {"command": shlex.join(command)}
        try:
            found = entry["found"] = run()
        except subprocess.CalledProcessError as error:
            lines = str(error.stderr or "").strip().splitlines()
            entry["error"] = f"exit {error.returncode}: {lines[-1] if lines else ''}"
        except subprocess.TimeoutExpired as error:
            entry["error"] = f"killed after {error.timeout:g} seconds"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{name}.json").write_text(json.dumps(entry, indent=1) + "\n")
        return found

    def errors(self, names: Iterable[str]) -> dict[str, str]:
        """Of the commands with these names that failed, the error."""
        paths = {name: self.folder / f"{name}.json" for name in names}
        entries = {name: json.loads(p.read_text()) for name, p in paths.items() if p.is_file()}
        return {name: entry["error"] for name, entry in entries.items() if "error" in entry}


def last_line(python: str, arguments: Sequence[str], *, timeout: float) -> dict[str, Any]:
    """The line of JSON that a process ends with.

    Args:
        python: The interpreter.
        arguments: Its arguments.
        timeout: Seconds until it is killed.

    Raises:
        subprocess.CalledProcessError: If it fails.
        subprocess.TimeoutExpired: If it takes too long.
    """
    done = subprocess.run(
        [python, *arguments], check=True, capture_output=True, text=True, timeout=timeout
    )
    return json.loads(done.stdout.splitlines()[-1])
