"""Encodings computed from data, by passing messages over the plates of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment
from pavi.encodings.base import Encoder
from pavi.encodings.empirical_links import EmpiricalLinks
from pavi.encodings.frames import frames_of
from pavi.encodings.free import set_start
from pavi.encodings.groups import Groups
from pavi.encodings.inputs import FrameInputs, center_and_width
from pavi.encodings.rounds import Pair, PoolingFactory, Round, joined
from pavi.encodings.sweep import Sweep
from pavi.nn import SkipBlock


@final
class MessagePassingEncoder(Encoder):
    """Computes the encodings of all rows on plates from the data below and around them.

    The sites of a model lie on *frames* of plates. A round goes from the finest frames to the
    coarsest: every row takes in its own data, what the rows below it pool, and, from the second
    round on, the states of the rows above it. After the last round a row's encoding is computed
    from what it took in and the states above it.

    One round says all about a nest. In a crossing, what a student's ratings mean depends on how
    severe her lecturers are, which depends on their other students: each further round sees one
    step farther.

    Sites without plates have one ground variable, and so a free encoding.

    Args:
        model: The template.
        latents: The latent sites to encode, each with data on or below its plates.
        dim: The length of an encoding.
        width: The length of a state.
        hidden: The width of hidden layers.
        embedding: The number of learned features of an observation.
        pooling: Makes what pools the rows of a frame, see `Round`.
        rounds: Of messages.
        above: Whether an encoding is computed from the states above a row too.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        latents: Sequence[str],
        *,
        dim: int,
        width: int,
        hidden: int,
        embedding: int,
        pooling: PoolingFactory,
        rounds: int,
        above: bool = True,
    ) -> None:
        super().__init__()
        self._frames = frames_of(model, latents)
        self._pairs = [(i, up) for i, frame in enumerate(self._frames) for up in frame.coarser]
        self._leaf = [not frame.finer for frame in self._frames]
        self._alignments = {
            (fine, coarse): Alignment.between(
                model.plates,
                self._frames[coarse].plates,
                self._frames[fine].plates,
                source_rank=1,
                target_rank=1,
            )
            for fine, coarse in self._pairs
        }
        self.inputs = nn.ModuleList(FrameInputs(model, frame) for frame in self._frames)
        sizes = [inputs.size for inputs in self.inputs if isinstance(inputs, FrameInputs)]
        links = [EmpiricalLinks(model, frame) for frame in self._frames]
        self.links = nn.ModuleList(links)
        for fine, coarse in self._pairs:
            size = 1 + (sizes[fine] + links[fine].size if self._leaf[fine] else 0)
            self.register_buffer(f"_center_{fine}_{coarse}", torch.zeros(size))
            self.register_buffer(f"_width_{fine}_{coarse}", torch.ones(size))
        everything = range(len(self._frames))
        self._above = above
        last = {up for frame in self._frames if frame.latents and above for up in frame.coarser}
        stages = [
            Round(
                self._frames,
                sizes,
                [link.size for link in links],
                width=width,
                hidden=hidden,
                embedding=embedding,
                pooling=pooling,
                messages=number > 0,
                read=everything if number < rounds - 1 else last,
            )
            for number in range(rounds)
        ]
        self.rounds = nn.ModuleList(stages)
        self.free = nn.ParameterDict()
        self.heads = nn.ModuleDict()
        self._sites: dict[str, tuple[int, Alignment]] = {}
        for name in latents:
            plates = model.sites[name].plates
            if not plates:
                self.free[name] = nn.Parameter(torch.zeros(dim))
                continue
            number = next(i for i, frame in enumerate(self._frames) if name in frame.latents)
            frame = self._frames[number]
            seen = stages[-1].taken[number]
            seen += sum(stages[-1].widths[up] for up in frame.coarser if above)
            self.heads[name] = SkipBlock(seen, dim, hidden=hidden, zero=True)
            alignment = Alignment.between(
                model.plates, frame.plates, plates, source_rank=1, target_rank=1
            )
            self._sites[name] = number, alignment

    @torch.no_grad()
    def standardise(self, batch: PlateBatch) -> None:
        """See `Encoder`."""
        for inputs in self.inputs:
            assert isinstance(inputs, FrameInputs)
            inputs.standardise(batch)
        read = [inputs(batch) for inputs in self.inputs]
        for pair, grouped in self._groups(batch, None).items():
            rows = self._statistics(pair, batch, read, grouped).flatten(0, -2)
            center, width = center_and_width(rows)
            self.get_buffer(f"_center_{pair[0]}_{pair[1]}").copy_(center)
            self.get_buffer(f"_width_{pair[0]}_{pair[1]}").copy_(width)

    def forward(self, batch: PlateBatch, sweep: Sweep | None = None) -> dict[str, Tensor]:
        """See `Encoder`."""
        read = [inputs(batch) for inputs in self.inputs]
        groups = self._groups(batch, sweep)
        statistics = {}
        for pair, grouped in groups.items():
            center = self.get_buffer(f"_center_{pair[0]}_{pair[1]}")
            width = self.get_buffer(f"_width_{pair[0]}_{pair[1]}")
            known = self._statistics(pair, batch, read, grouped)
            statistics[pair] = (known - center) / width
        taken: list[Tensor] = []
        states: list[Tensor] = []
        for stage in self.rounds:
            taken, states = stage(read, statistics, groups, states)
        found: dict[str, Tensor] = dict(self.free.items())
        for name, (number, alignment) in self._sites.items():
            coarser = self._frames[number].coarser if self._above else ()
            above = [groups[number, up].spread(states[up]) for up in coarser]
            encoding = self.heads[name](joined([taken[number], *above]))
            found[name] = alignment(encoding.unsqueeze(0), batch).squeeze(0)
        return found

    @torch.no_grad()
    def start(self, site: str, coordinates: Tensor) -> None:
        """See `Encoder`."""
        if site not in self.free:
            raise ValueError(
                f"init of site {site!r}: its encodings are computed from data and have no start; "
                "use HybridEncodings or FreeEncodings, or leave init out."
            )
        set_start(self.free[site], site, coordinates)

    def tables(self) -> dict[str, nn.Parameter]:
        """See `Encoder`."""
        return {}

    def resized(self, rows: Mapping[str, Tensor]) -> MessagePassingEncoder:
        """See `Encoder`; nothing here knows how many rows there are."""
        return self

    def networks(self) -> list[nn.Parameter]:
        """See `Encoder`."""
        return [*self.rounds.parameters(), *self.heads.parameters()]

    def _statistics(
        self, pair: Pair, batch: PlateBatch, read: Sequence[Tensor], grouped: Groups
    ) -> Tensor:
        """What pooling gives in every round: the log-count, and what is known of means of data."""
        fine = pair[0]
        log_count = grouped.counts.log()
        if not self._leaf[fine]:
            return log_count
        inputs = self.inputs[fine]
        assert isinstance(inputs, FrameInputs)
        linked = self.links[fine](batch, grouped, read[fine][..., inputs.covariates])
        return torch.cat([log_count, grouped.mean(read[fine]), linked], dim=-1)

    def _groups(self, batch: PlateBatch, sweep: Sweep | None) -> dict[Pair, Groups]:
        found = {}
        for fine, coarse in self._pairs:
            alignment, above = self._alignments[fine, coarse], self._frames[coarse].plates
            plates = self._frames[fine].plates
            group_weight = alignment(batch.weight(above)[None, ..., None], batch)[0, ..., 0]
            share = batch.weight(plates) / group_weight
            inputs = self.inputs[fine]
            assert isinstance(inputs, FrameInputs)
            # A row that pools rows of its own counts whatever these lack.
            if self._leaf[fine] and (counted := inputs.counted(batch)) is not None:
                share = share * counted
            partial = sweep if sweep is not None and sweep.shares(above) else None
            plain = bool((share == 1).all())
            found[fine, coarse] = Groups(
                plates, alignment, batch, None if plain else share, partial
            )
        return found
