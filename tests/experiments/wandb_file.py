"""What a W&B file of an offline run holds."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

# Of the file, which is a LevelDB log: blocks, in which a record is one part or several.
HEADER, BLOCK, PART, LAST = 7, 2**15, struct.Struct("<IHB"), (1, 4)


def records(file: Path) -> Iterator[Record]:
    """The records of a W&B file."""
    content, position, collected = file.read_bytes(), HEADER, b""
    while position < len(content):
        left = BLOCK - position % BLOCK
        if left < PART.size:
            position += left
            continue
        _, length, kind = PART.unpack_from(content, position)
        position += PART.size
        collected += content[position : position + length]
        position += length
        if kind in LAST:
            record = Record()
            record.ParseFromString(collected)
            yield record
            collected = b""


def read(file: Path) -> tuple[str, dict[str, object], list[dict[str, object]]]:
    """The id of a run, its config, and what it logged."""
    found = list(records(file))
    runs = [r.run for r in found if r.WhichOneof("record_type") == "run"]
    config = {item.key: json.loads(item.value_json) for item in runs[0].config.update}
    rows = [
        {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in r.history.item}
        for r in found
        if r.WhichOneof("record_type") == "history"
    ]
    return runs[0].run_id, config, rows


def values(rows: list[dict[str, object]], name: str) -> list[float]:
    return [float(row[name]) for row in rows if row.get(name) not in (None, "")]
