"""A checkpoint that all ranks of a sharded run write together: a folder of files.

* `common.ckpt`, what is the same on every rank: the file that Lightning writes of a run, less the
  rows that ranks own;
* `rows/`, these rows and what their optimiser remembers, by `torch.distributed.checkpoint`: each
  rank writes its own, and a run on any number of ranks reads those that it needs;
* `manifest.json`, the size and the digest of every file.

The folder appears under its name when all of it is on disk. Folders, unlike files, can be damaged
in part, so the manifest is compared before anything is read.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from pavi.files import whole_folder
from pavi.files.disk import DiskFullError, disk_is_full, free_bytes
from pavi.training.chunks import SliceLoadPlanner, SliceSavePlanner
from pavi.training.ranks import on_every_rank, this_rank
from pavi.training.sharded_state import ShardedState

FORMAT = 1
COMMON, ROWS, MANIFEST = "common.ckpt", "rows", "manifest.json"
ALONE = "torch.distributed is disabled, unavailable or uninitialized"


def write_sharded(path: Path, checkpoint: Mapping[str, Any], state: ShardedState) -> None:
    """Write a checkpoint; every rank must call this.

    Raises:
        DiskFullError: On every rank, if one of them has no room; nothing is left.
        RankError: On every rank, if one of them cannot write for another reason.
    """
    rank, _ = this_rank()
    common, owned = state.take(checkpoint)
    try:
        with ExitStack() as stack:

            def begin() -> str:
                if rank != 0:
                    return ""
                fresh = stack.enter_context(whole_folder(path))
                torch.save(common, fresh / COMMON)
                return str(fresh)

            fresh = Path(on_every_rank(begin)[0])
            with _alone_too():
                dcp.save(
                    dict(owned),
                    storage_writer=dcp.FileSystemWriter(fresh / ROWS),
                    planner=SliceSavePlanner(state.slices(owned)),
                )
            files = {k: v for part in on_every_rank(lambda: _described(fresh)) for k, v in part}
            if rank == 0:
                manifest = {"format": FORMAT, "step": checkpoint["global_step"], "files": files}
                (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
    except Exception as error:
        if isinstance(error, DiskFullError) or not disk_is_full(error):
            raise
        raise DiskFullError(path, needed=None, free=free_bytes(path)) from error


def read_sharded(path: Path, state: ShardedState) -> dict[str, Any]:
    """The checkpoint of this rank; every rank must call this.

    Raises:
        ValueError: On every rank, if the folder does not hold what was written to it.
        RankError: On every rank, if one of them cannot read it.
    """
    rank, ranks = this_rank()
    files = _manifest(path)["files"]

    def wrong() -> list[str]:
        mine = sorted(files)[rank::ranks]
        return [name for name in mine if _digest(path / name) != files[name]["sha256"]]

    if damaged := [name for part in on_every_rank(wrong) for name in part]:
        raise ValueError(f"checkpoint {path} is damaged: the digest of {damaged[0]} is wrong.")
    common = torch.load(path / COMMON, map_location="cpu", weights_only=True)
    reader = dcp.FileSystemReader(path / ROWS)
    owned: dict[str, Tensor] = {}
    for name, stored in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(stored, TensorStorageMetadata)
        owned[name] = state.empty(name, width=stored.size[-1], dtype=stored.properties.dtype)
    with _alone_too():
        planner = SliceLoadPlanner(state.slices(owned))
        dcp.load(owned, storage_reader=reader, planner=planner)
    return state.put(common, owned)


def incomplete(path: Path) -> str | None:
    """What a checkpoint's folder lacks, in words; None if all files are there and as long as they
    were."""
    try:
        sizes = {name: int(file["bytes"]) for name, file in _manifest(path)["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"its {MANIFEST} cannot be read ({error})"
    for name, size in sizes.items():
        file = path / name
        if not file.is_file():
            return f"its file {name} is absent"
        if (found := file.stat().st_size) != size:
            return f"its file {name} has {found:,} of {size:,} bytes"
    return None


def _manifest(path: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((path / MANIFEST).read_text())
    if manifest["format"] != FORMAT:
        raise ValueError(f"it has format {manifest['format']}; this version reads {FORMAT}")
    return manifest


def _described(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """The files that this rank wrote, with size and digest."""
    rank, _ = this_rank()
    mine = sorted((folder / ROWS).glob(f"__{rank}_*"))
    if rank == 0:
        mine += [folder / COMMON, folder / ROWS / ".metadata"]
    return [
        (str(file.relative_to(folder)), {"bytes": file.stat().st_size, "sha256": _digest(file)})
        for file in mine
    ]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone_too() -> Iterator[None]:
    """Without the note that one process is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ALONE)
        yield
