"""A Pyro model at full size, also where one run of it draws some rows of its plates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from pavi.interop.pyro_replay import PyroPlate, PyroSite, Replay


@final
class FullSize:
    """Runs of a Pyro model put together, so that they hold every row of every plate.

    Args:
        replay: The model.
        sites: The sites of one run.

    Attributes:
        plates: The plates by name.
        latents: The names of latent sites.
        values: Per site, its value at full size: of latent ones that of the run, of others the
            data.
    """

    def __init__(self, replay: Replay, sites: Mapping[str, PyroSite]) -> None:
        self._replay, self._sites = replay, sites
        self.plates = {p.name: p for site in sites.values() for p in site.plates}
        self.latents = [name for name, site in sites.items() if not site.observed]
        self.values = {name: expanded(sites[name]) for name in self.latents}
        measured = {name: self._measured(name) for name in sites if name not in self.latents}
        self.values |= measured

    def parameters(self, name: str, given: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """The parameters of a site at full size, `(*plates, *parameter)` each."""
        site = self._sites[name]
        dims = max((-plate.dim for plate in self.plates.values()), default=0)
        dims = max(dims, len(site.batch_shape))
        original = site.parts.tensors()
        ranks = [tensor.ndim - len(site.batch_shape) for tensor in original]

        def run(rows: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
            found = self._replay.run(self._at(rows, given), rows=rows)[name]
            tensors = []
            for tensor, rank in zip(found.parts.tensors(), ranks, strict=True):
                lead = tensor.ndim - rank
                tensors.append(tensor.reshape((1,) * (dims - lead) + tuple(tensor.shape)))
            return tuple(tensors)

        full = self._gathered(site, run, ranks=ranks)
        own = {plate.dim + dims for plate in site.plates}
        found = []
        for tensor, rank in zip(full, ranks, strict=True):
            sizes = [n for axis, n in enumerate(tensor.shape[:dims]) if axis in own]
            found.append(tensor.reshape((*sizes, *tensor.shape[dims:])))
            assert tensor.ndim == dims + rank
        return tuple(found)

    def _measured(self, name: str) -> Tensor:
        """The observed values of a site, at full size."""
        site = self._sites[name]

        def values(rows: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
            return (self._replay.run(self._at(rows), rows=rows)[name].value,)

        (found,) = self._gathered(site, values, ranks=(len(site.event_shape),))
        return found

    def _at(
        self, rows: Mapping[str, Tensor], given: Mapping[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """The latent values, full size, at the rows of one run."""
        found = {}
        for name in self.latents:
            value = (given or {}).get(name, self.values[name])
            site = self._sites[name]
            for plate in site.plates:
                if plate.name in rows:
                    axis = plate.dim - len(site.event_shape)
                    value = value.index_select(axis, rows[plate.name])
            found[name] = value
        return found

    def _gathered(
        self,
        site: PyroSite,
        run: Callable[[Mapping[str, Tensor]], tuple[Tensor, ...]],
        *,
        ranks: Sequence[int],
    ) -> tuple[Tensor, ...]:
        """Tensors `(*Pyro's batch axes, *rank)` of runs, put together at full size."""
        subsampled = [p for p in site.plates if p.drawn < p.size]
        pieces: dict[tuple[int, ...], tuple[Tensor, ...]] = {}
        for rows, news in self._blocks(site):
            found = run(rows)
            for plate in subsampled:
                found = tuple(
                    t.narrow(
                        axis := plate.dim - rank + t.ndim,
                        t.shape[axis] - news[plate.name],
                        news[plate.name],
                    )
                    for t, rank in zip(found, ranks, strict=True)
                )
            pieces[tuple(int(rows[p.name][-1]) for p in subsampled)] = found
        keys = sorted(pieces)
        for position in range(len(subsampled) - 1, -1, -1):
            axis_of = subsampled[position].dim
            groups: dict[tuple[int, ...], list[tuple[Tensor, ...]]] = {}
            for key in keys:
                groups.setdefault(key[:position], []).append(pieces[key])
            pieces = {
                key: tuple(
                    torch.cat(parts, axis_of - rank)
                    for parts, rank in zip(zip(*group, strict=True), ranks, strict=True)
                )
                for key, group in groups.items()
            }
            keys = sorted(pieces)
        return pieces[()]

    def _blocks(self, site: PyroSite) -> Iterator[tuple[dict[str, Tensor], dict[str, int]]]:
        """Rows that cover the subsampled plates of a site, and how many of each are new."""
        plates = [plate for plate in self.plates.values() if plate.drawn < plate.size]
        yield from cover(plates, {plate.name for plate in site.plates})


def expanded(site: PyroSite) -> Tensor:
    """A value at full size: rows that one run does not draw repeat those it draws."""
    value = site.value
    for plate in site.plates:
        axis = plate.dim - len(site.event_shape)
        rows = torch.arange(plate.size) % plate.drawn
        value = value.index_select(axis, rows)
    return value


def cover(
    plates: Sequence[PyroPlate], wanted: set[str]
) -> Iterator[tuple[dict[str, Tensor], dict[str, int]]]:
    """Rows of every subsampled plate, so that together they cover the wanted ones."""
    if not plates:
        yield {}, {}
        return
    plate, *others = plates
    done = 0
    while done < plate.size:
        end = min(done + plate.drawn, plate.size)
        rows = torch.arange(end - plate.drawn, end)
        for more, news in cover(others, wanted):
            yield {plate.name: rows, **more}, {plate.name: end - done, **news}
        if plate.name not in wanted:
            return
        done = end


def at_rows(value: Tensor, places: Tensor, size: int, *, axis: int) -> Tensor:
    """Put rows in their places of an axis of full size; others are arbitrary.

    A row that occurs twice is read once, so that gradients are not counted twice.
    """
    count = len(places)
    if value.shape[axis] == 1 and count > 1:
        value = value.expand(*value.shape[:axis], count, *value.shape[axis + 1 :])
    source = torch.full((size,), 0, dtype=torch.int64)
    order = torch.arange(count - 1, -1, -1)
    source[places[order]] = order
    return value.index_select(axis, source)
