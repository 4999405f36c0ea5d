"""Making a store from files of other kinds, part by part, and going on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, final

import numpy as np
from rich.progress import track

from pavi.data.convert.sources import Source, open_source
from pavi.data.stores import MemmapStore, StoreWriter
from pavi.data.stores.manifest import MANIFEST, Manifest
from pavi.data.stores.verification import damaged_parts
from pavi.files import DiskFullError, check_writable, whole_file

# What a store was made from, beside it, and the original rows of a permuted axis.
RECORD, ORDER = "conversion.json", "order.npy"


@final
@dataclass(frozen=True)
class Conversion:
    """What a store is made of.

    Args:
        dtype: Of the store.
        sessions: How many sources in a row are the sessions of one row of the store, which then
            has an axis of sessions behind its first one; None for none.
        permute_axis: An axis of the store whose rows change places at random, the same in every
            part; none if None.
        seed: Of the new places.
        cortex: Whether to take only the two cortices of dense series.
        standardise: Whether to give the numbers along the last axis mean 0 and standard deviation
            1; those that are all equal become 0.
    """

    dtype: str = "float16"
    sessions: int | None = None
    permute_axis: int | None = None
    seed: int = 0
    cortex: bool = False
    standardise: bool = False


def convert(
    sources: Sequence[Path | str],
    out: Path | str,
    *,
    dtype: str = "float16",
    sessions: int | None = None,
    permute_axis: int | None = None,
    seed: int = 0,
    cortex: bool = False,
    standardise: bool = False,
    repair: bool = False,
    progress: bool = True,
) -> MemmapStore:
    """Make a store; one that was begun from the same sources is gone on with.

    Sources are known again by their names, sizes and times of modification.

    One source is an array of all rows of the store. Of several sources, each is a row; a dense
    series always is one. Where an axis is permuted, row `i` of the store is row `order[i]` of the
    sources, by `order.npy` beside the store.

    Args:
        sources: The files, see `open_source`.
        out: The folder of the store.
        dtype: See `Conversion`, as are the next five.
        sessions: See there.
        permute_axis: See there.
        seed: See there.
        cortex: See there.
        standardise: See there.
        repair: Whether to compare what is there with its checksums first, and to write damaged
            parts again.
        progress: Whether to show bars.

    Raises:
        ImportError: If the library for a kind of file is not there.
        ValueError: If a source cannot be read, has another shape than the first one or values
            that the store cannot hold, the folder holds something else, or a source was changed
            since it was begun.
        DiskFullError: If the disk is full; the parts that are complete stay.
    """
    out = Path(out)
    plan = Conversion(dtype, sessions, permute_axis, seed, cortex, standardise)
    opened = [
        open_source(source, cortex=cortex)
        for source in track(sources, "opening", transient=True, disable=not progress)
    ]
    parts, shape = _parts(opened, plan)
    order = _order(shape, plan)
    _begin(out, opened, plan, order)
    with StoreWriter(out, shape=shape, dtype=dtype) as writer:
        if repair:
            writer.forget(damaged_parts(out, Manifest.read(out), progress=progress))
        left = sorted(set(range(shape[0])) - writer.done)
        for part in track(left, f"writing {out.name}", disable=not progress):
            try:
                writer.write(part, _values(parts[part], shape[1:], plan, order))
            except DiskFullError:
                raise  # of the store, and not of the source
            except (OSError, EOFError, ValueError, KeyError) as error:
                source, row = parts[part][0]
                where = source.name if row is None else f"{source.name}, row {row}"
                raise ValueError(f"{where}: {error}") from error
        writer.finish()
    return MemmapStore.open(out)


# The pieces of a part: sources, and the row of each, or None for all of it.
Pieces = list[tuple[Source, int | None]]


def _parts(sources: list[Source], plan: Conversion) -> tuple[list[Pieces], tuple[int, ...]]:
    """What each part is read from, and the shape of the store."""
    if not sources:
        raise ValueError("no sources are given.")
    first, sessions = sources[0], plan.sessions
    for source in sources:
        if source.grid != first.grid:
            raise ValueError(
                f"{source.name} has other grayordinates than {first.name}; all rows of a store "
                "are of the same places."
            )
        if source.shape != first.shape:
            raise ValueError(
                f"{source.name} has the shape {source.shape}, but {first.name} {first.shape}; "
                "all rows of a store have one shape."
            )
    if sessions is not None and (sessions < 1 or len(sources) % sessions):
        raise ValueError(
            f"sessions must be a positive number that divides the {len(sources)} sources, "
            f"got {sessions}."
        )
    if len(sources) == 1 and not first.one and sessions is None:
        if not first.shape:
            raise ValueError(f"{first.name} is a single number.")
        return [[(first, row)] for row in range(first.shape[0])], first.shape
    each = sessions or 1
    parts: list[Pieces] = [
        [(source, None) for source in sources[start : start + each]]
        for start in range(0, len(sources), each)
    ]
    inner = first.shape if sessions is None else (sessions, *first.shape)
    return parts, (len(parts), *inner)


def _order(shape: tuple[int, ...], plan: Conversion) -> np.ndarray | None:
    """The row of the sources that each row of the permuted axis is."""
    if plan.permute_axis is None:
        return None
    rank = len(shape)
    if not -rank <= plan.permute_axis < rank or plan.permute_axis % rank == 0:
        raise ValueError(
            f"permute_axis must be an axis of the store behind its first one, 1 to "
            f"{rank - 1} of the shape {shape}, got {plan.permute_axis}."
        )
    return np.random.default_rng(plan.seed).permutation(shape[plan.permute_axis])


def _values(
    pieces: Pieces, shape: tuple[int, ...], plan: Conversion, order: np.ndarray | None
) -> np.ndarray:
    """The values of a part."""
    arrays = [source.read(row) for source, row in pieces]
    if plan.standardise:
        arrays = [_standardised(array) for array in arrays]
    values = np.stack(arrays).reshape(shape)
    if order is None:
        return values
    assert plan.permute_axis is not None
    axis = plan.permute_axis % (len(shape) + 1)
    return np.take(values, order, axis=axis - 1)


def _standardised(values: np.ndarray) -> np.ndarray:
    values = values.astype(np.float64)
    values -= values.mean(-1, keepdims=True)
    spread = values.std(-1, keepdims=True)
    return np.divide(values, spread, out=np.zeros_like(values), where=spread > 0)


def _record(sources: list[Source], plan: Conversion) -> dict[str, Any]:
    return {
        "sources": [{"name": source.name, **asdict(source.state)} for source in sources],
        "sessions": plan.sessions,
        "permute_axis": plan.permute_axis,
        "seed": plan.seed if plan.permute_axis is not None else None,
        "cortex": plan.cortex,
        "standardise": plan.standardise,
    }


def _begin(out: Path, sources: list[Source], plan: Conversion, order: np.ndarray | None) -> None:
    """Note what the store is made from, or see that the one that is there is made from it."""
    wanted = _record(sources, plan)
    check_writable(out)
    if not (out / MANIFEST).exists():
        try:
            out.mkdir(parents=True, exist_ok=True)
            if order is not None:
                with whole_file(out / ORDER, binary=True) as stream:
                    np.save(stream, order)
            with whole_file(out / RECORD, binary=True) as stream:
                stream.write(json.dumps(wanted).encode())
        except OSError as error:
            raise ValueError(
                f"{out} cannot be written to: {error.strerror}; choose another folder."
            ) from error
        return
    try:
        held = dict(json.loads((out / RECORD).read_text()))
    except FileNotFoundError:
        raise ValueError(
            f"{out} holds a store that was not made by a conversion, for it has no {RECORD}; "
            "choose another folder."
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise ValueError(
            f"{out / RECORD} is damaged: {error}. Delete {out}, and convert again."
        ) from error
    for key, value in wanted.items():
        if held.get(key) != value:
            if key == "sources":
                _refuse_changed(out, held.get(key), value)
            raise ValueError(
                f"{out} was begun with other {key}: {_short(held.get(key))}, now {_short(value)}; "
                "choose another folder, or remove that one."
            )


def _refuse_changed(out: Path, held: Any, now: list[dict[str, Any]]) -> None:
    """Tell of sources of the same names the first that was changed.

    Raises:
        ValueError: If there is one.
    """
    if not isinstance(held, list):
        return
    before = {source.get("name"): source for source in held if isinstance(source, dict)}
    for source in now:
        was = before.get(source["name"], source)
        if was == source or was.keys() != source.keys():
            continue
        if was["size"] != source["size"]:
            how = f"it had {was['size']:,} bytes and has {source['size']:,}"
        elif was["modified"] != source["modified"]:
            how = f"it was modified at {_time(was['modified'])}, and {_time(source['modified'])}"
        else:
            how = "its files have other names, sizes or times of modification"
        raise ValueError(
            f"{source['name']} is not what {out} was begun from: {how}. A store of both would be "
            "neither: remove that folder and convert again, or choose another one."
        )


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).isoformat(" ", "microseconds")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."
