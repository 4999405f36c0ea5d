"""A checkpoint that all ranks of a sharded run write together: a folder of files.

* `common.ckpt`, what is the same on every rank: the file that Lightning writes of a run, less the
  rows that ranks own;
* `rows/`, these rows and what their optimiser remembers, by `torch.distributed.checkpoint`: each
  rank writes its own, and a run on any number of ranks reads those that it needs;
* `manifest.json`, the size and the digest of every file.

The folder appears under its name when all of it is on disk.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from pavi.files import whole_folder
from pavi.files.disk import DiskFullError, disk_is_full, free_bytes
from pavi.training.chunks import SliceLoadPlanner, SliceSavePlanner
from pavi.training.manifest import COMMON, ROWS, altered, described, write_manifest
from pavi.training.ranks import on_every_rank, this_rank
from pavi.training.sharded_state import ShardedState

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
                save(
                    dict(owned),
                    storage_writer=FileSystemWriter(fresh / ROWS),
                    planner=SliceSavePlanner(state.slices(owned)),
                )
            parts = on_every_rank(lambda: described(fresh, rank=rank))
            if rank == 0:
                write_manifest(fresh, {k: v for part in parts for k, v in part.items()})
    except (Exception, CheckpointException) as error:  # the latter is none of the former
        if isinstance(error, DiskFullError) or not disk_is_full(error):
            raise
        raise DiskFullError(path, needed=None, free=free_bytes(path)) from error


def read_sharded(path: Path, state: ShardedState) -> dict[str, Any]:
    """The checkpoint of this rank; every rank must call this.

    Raises:
        ValueError: On every rank, if the folder does not hold what was written to it, or is one
            of another model or other data.
        RankError: On every rank, if one of them cannot read it.
    """
    rank, ranks = this_rank()
    wrong = on_every_rank(lambda: altered(path, part=rank, parts=ranks))
    if found := [name for part in wrong for name in part]:
        others = [p.name for p in sorted(path.parent.glob("*.ckpt")) if p != path]
        raise ValueError(
            f"checkpoint {path} is damaged: its file {found[0]} is not what was written. Delete "
            f"the checkpoint; beside it there are {others}."
        )
    common = torch.load(path / COMMON, map_location="cpu", weights_only=True)
    reader = FileSystemReader(path / ROWS)
    owned: dict[str, Tensor] = {}
    for name, stored in reader.read_metadata().state_dict_metadata.items():
        assert isinstance(stored, TensorStorageMetadata)
        try:
            owned[name] = state.empty(name, size=stored.size, dtype=stored.properties.dtype)
        except ValueError as error:
            raise ValueError(f"checkpoint {path} is of another run: {error}.") from None
    with _alone_too():
        planner = SliceLoadPlanner(state.slices(owned))
        load(owned, storage_reader=reader, planner=planner)
    return state.put(common, owned)


@contextmanager
def _alone_too() -> Iterator[None]:
    """Without the note that one process is one process."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ALONE)
        yield
