r"""In which order latents are drawn, and over which rows they fall apart.

The *frame* of a site is its plates. Where frames form a tree, such as districts, schools in
districts and classes in schools, the rows of a frame are independent given all above them, in the
posterior as in the guide, and a sum over joint draws becomes a product of sums over rows. A
*stage* is a frame, its latent sites and the data whose finest latent parent it is.

A crossing is no tree: a score ties a student to a lecturer. There the frames that do not lie on
the largest plate make one stage, whose rows hang together, below the sites without plates; given
these the rows of the largest plate are independent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import final

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.data.chunks import Chunks
from pavi.guides.base import Guide

Frame = tuple[str, ...]


@final
@dataclass(frozen=True)
class Stage:
    """Latent sites that are drawn together, given those of the stages above.

    Args:
        sites: The latent sites.
        observed: The observed sites whose density belongs to this stage.
        unit: The plates over whose rows the stage falls apart; none if its rows hang together.
        children: The stages below.
        tied: Whether rows of the sites' plates hang together although they have plates.
    """

    sites: tuple[str, ...]
    observed: tuple[str, ...]
    unit: Frame
    children: tuple[Stage, ...] = ()
    tied: bool = False

    @property
    def depth(self) -> int:
        """How many stages lie on the longest way down, this one included."""
        return 1 + max((child.depth for child in self.children), default=0)

    def paths(self) -> Iterator[tuple[Stage, ...]]:
        """Every stage from here on with those above it, from here on down."""
        yield (self,)
        for child in self.children:
            for path in child.paths():
                yield (self, *path)


def first_stage(guide: Guide, data: PlateData) -> Stage:
    """The first stage of a guide on data: all latents at once, where it draws them so."""
    if guide.whole:
        return whole_stage(guide.model)
    return stages(guide.model, split=Chunks(data, draws=1).split)


def stages(model: HierarchicalModel, *, split: frozenset[str]) -> Stage:
    """The first stage, the sites without plates, with all others below it.

    Args:
        model: The template.
        split: The plates along which data are read part by part.
    """
    frames = sorted({tuple(model.sites[name].plates) for name in model.latents} - {()})
    ties = [_touched(model, name) for name in (*model.latents, *model.observed)]
    ties += [{f, *_coarser(model, f, frames)} for f in frames]
    first = _Group([()], (), None)
    groups, free = [first], frames
    if not all(_is_chain(model, tie) for tie in ties):
        tied = [f for f in frames if not split & set(f)]
        free = [f for f in frames if split & set(f)]
        if tied:
            groups.append(_Group(tied, (), first, tied=True))
        if not all(_is_chain(model, tie & set(free)) for tie in ties):
            # Crossings within a row of the largest plate: below that, nothing falls apart.
            top = next(plate for plate in model.plates if plate in split)
            groups.append(_Group(free, (top,), groups[-1], tied=len(free) > 1))
            free = []
    last = groups[-1]
    by_frame: dict[Frame, _Group] = {}
    for frame in sorted(free, key=lambda f: len(model.plates.closure(f))):
        above = [f for f in _coarser(model, frame, free) if f in by_frame]
        by_frame[frame] = _Group([frame], frame, by_frame[above[-1]] if above else last)
        groups.append(by_frame[frame])
    return _stage(model, first, groups)


def whole_stage(model: HierarchicalModel) -> Stage:
    """All latents at once, for guides that draw them so."""
    return Stage(model.latents, model.observed, (), tied=True)


@final
@dataclass(frozen=True, eq=False)
class _Group:
    """The frames of a stage, with the group above."""

    frames: Sequence[Frame]
    unit: Frame
    above: _Group | None
    tied: bool = False

    @property
    def depth(self) -> int:
        return 0 if self.above is None else 1 + self.above.depth


def _stage(model: HierarchicalModel, group: _Group, groups: Sequence[_Group]) -> Stage:
    def owner(name: str) -> _Group:
        touched = _touched(model, name)
        return max((g for g in groups if touched & set(g.frames)), key=lambda g: g.depth)

    return Stage(
        sites=tuple(n for n in model.latents if tuple(model.sites[n].plates) in group.frames),
        observed=tuple(n for n in model.observed if owner(n) is group),
        unit=group.unit,
        children=tuple(_stage(model, g, groups) for g in groups if g.above is group),
        tied=group.tied,
    )


def _touched(model: HierarchicalModel, name: str) -> set[Frame]:
    """The frames of the latent sites in the density of a site; `()` is always one."""
    names = [name, *model.sites[name].parents]
    return {tuple(model.sites[n].plates) for n in names if n in model.latents} | {()}


def _coarser(model: HierarchicalModel, frame: Frame, frames: Sequence[Frame]) -> list[Frame]:
    """The frames that all rows of a frame lie within, coarse to fine."""
    closure = model.plates.closure(frame)
    found = [f for f in frames if f != frame and set(f) <= closure]
    return sorted(found, key=lambda f: len(model.plates.closure(f)))


def _is_chain(model: HierarchicalModel, frames: set[Frame]) -> bool:
    """Whether of any two frames one lies within the other."""
    ordered = sorted(frames, key=lambda f: len(model.plates.closure(f)))
    return all(
        set(coarse) <= model.plates.closure(fine)
        for coarse, fine in zip(ordered, ordered[1:], strict=False)
    )
