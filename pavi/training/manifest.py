"""What a checkpoint of many files holds: their sizes and digests, to see damage before reading."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pavi.files import sha256_of

FORMAT = 1
COMMON, ROWS, MANIFEST = "common.ckpt", "rows", "manifest.json"
Files = Mapping[str, Mapping[str, Any]]


def described(folder: Path, *, rank: int) -> Files:
    """The files that a rank wrote, by name in the folder, with size and digest."""
    mine = sorted((folder / ROWS).glob(f"__{rank}_*"))
    if rank == 0:
        mine += [folder / COMMON, folder / ROWS / ".metadata"]
    return {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "sha256": sha256_of(file),
        }
        for file in mine
    }


def write_manifest(folder: Path, files: Files) -> None:
    """Write down what a folder holds."""
    text = json.dumps({"format": FORMAT, "files": files}, indent=1)
    (folder / MANIFEST).write_text(f"{text}\n")


def incomplete(folder: Path) -> str | None:
    """What a folder lacks of what was written, in words; None if every file has its length."""
    try:
        sizes = {name: int(file["bytes"]) for name, file in _files(folder).items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            return f"its file {name} is absent"
        if (found := file.stat().st_size) != size:
            return f"its file {name} has {found:,} of {size:,} bytes"
    return None


def altered(folder: Path, *, part: int, parts: int) -> list[str]:
    """The files whose digest is another one; looks at every `parts`-th file, from `part` on."""
    files = _files(folder)
    mine = sorted(files)[part::parts]
    return [name for name in mine if sha256_of(folder / name) != files[name]["sha256"]]


def _files(folder: Path) -> Files:
    manifest = json.loads((folder / MANIFEST).read_text())
    if manifest["format"] != FORMAT:
        raise ValueError(f"it has format {manifest['format']}; this version reads {FORMAT}")
    files: Files = manifest["files"]
    return files
