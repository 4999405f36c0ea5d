"""Comparing what a store holds with the checksums of its manifest."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.progress import track

from pavi.data.stores.manifest import VALUES, Manifest

PIECE = 2**24  # bytes that are held at a time


def damaged_parts(
    folder: Path, manifest: Manifest, *, progress: bool, parts: Sequence[int] | None = None
) -> list[int]:
    """The complete parts whose bytes are not those that were written.

    Args:
        folder: Of the store.
        manifest: What it says of itself; header and size have been checked.
        progress: Whether to show a bar.
        parts: Which to look at; all by default.
    """
    size, damaged = manifest.part_bytes, []
    piece = memoryview(bytearray(min(PIECE, size)))
    with (folder / VALUES).open("rb", buffering=0) as stream:
        chosen = range(manifest.shape[0]) if parts is None else parts
        for part in track(chosen, f"verifying {folder.name}", disable=not progress):
            if (expected := manifest.checksums[part]) is None:
                continue
            stream.seek(len(manifest.header) + part * size)
            found, left = 0, size
            # What the disk does not give back is as damaged as what it gives back changed.
            with suppress(OSError):
                while left and (count := stream.readinto(piece[: min(left, len(piece))])):
                    found, left = zlib.crc32(piece[:count], found), left - count
            if left or found != expected:
                damaged.append(part)
    return damaged
