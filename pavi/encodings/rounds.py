"""One round of messages, from the finest frames of a model to the coarsest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from pavi.encodings.frames import Frame
from pavi.encodings.groups import Groups
from pavi.encodings.pooling import Pooling
from pavi.nn import SkipBlock, even

Pair = tuple[int, int]
PoolingFactory = Callable[[int, int, bool, bool], Pooling]
# Learned features of observations start small beside the means and products of the data.
FEATURE_SCALE = 0.1


@final
class Round(nn.Module):
    r"""Every row takes in its own data, what the rows below it pool, and messages from above.

    The state of an observation is :math:`(\sum_u M_u h_u,\ \varphi(P x + \sum_u Q_u h_u))` for
    its data `x` and the states :math:`h_u` of the rows above it: one part linear in them, so that
    effects add and subtract exactly, one that is not. The state of any other row is a `SkipBlock`
    of all that it took in.

    Args:
        frames: Of the model, finer before coarser.
        inputs: Per frame, how many numbers its rows hold themselves.
        linked: Per frame, how many numbers of its rows' groups come with these, see
            `EmpiricalLinks`.
        width: The length of a state, other than of observations.
        hidden: The width of hidden layers.
        embedding: The number of learned features of an observation.
        pooling: Makes what pools the rows of a frame, from the lengths of what a row took in and
            of its state, whether the rows are observations, and whether they carry messages.
        messages: Whether rows see the states above them, of the round before.
        read: The frames whose states are read after the round, beside those that are pooled in
            it; states of others are left out.

    Attributes:
        taken: Per frame, the length of what a row takes in.
        widths: Per frame, the length of a state.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        inputs: Sequence[int],
        linked: Sequence[int],
        *,
        width: int,
        hidden: int,
        embedding: int,
        pooling: PoolingFactory,
        messages: bool,
        read: Collection[int],
    ) -> None:
        super().__init__()
        self._frames, self._messages = frames, messages
        leaf = [not frame.finer for frame in frames]
        self.widths = [embedding * (1 + messages) if is_leaf else width for is_leaf in leaf]
        self.taken: list[int] = []
        self.blocks, self.pools = nn.ModuleDict(), nn.ModuleDict()
        self.senders = nn.ModuleDict()
        for number, frame in enumerate(frames):
            size = inputs[number]
            for below in frame.finer:
                pool = pooling(self.taken[below], self.widths[below], leaf[below], messages)
                self.pools[f"{below}_{number}"] = pool
                size += 1 + (inputs[below] + linked[below] if leaf[below] else 0) + pool.size
            for up in frame.coarser if messages else ():
                sent = self.widths[number]
                self.senders[f"{up}_{number}"] = nn.Linear(width, sent, bias=False)
                size += 0 if leaf[number] else sent
            self.taken.append(size)
            if not frame.coarser and number not in read:
                continue
            if leaf[number]:
                self.blocks[str(number)] = nn.Linear(size, embedding)
                continue
            self.blocks[str(number)] = SkipBlock(size, width, hidden=hidden)
        for number, frame in enumerate(frames):
            pools = [self.pools[f"{number}_{up}"] for up in frame.coarser]
            if leaf[number] and pools and all(pool.sees_data for pool in pools):
                del self.blocks[str(number)]  # nobody reads the state

    def forward(
        self,
        read: Sequence[Tensor],
        statistics: Mapping[Pair, Tensor],
        groups: Mapping[Pair, Groups],
        before: Sequence[Tensor],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """What every row takes in, and its state, per frame.

        Args:
            read: Per frame, the numbers its rows hold themselves.
            statistics: Per pair of frames, what pooling gives in every round.
            groups: Per pair of frames, the grouping of rows.
            before: The states of the round before.
        """
        taken: list[Tensor] = []
        states: list[Tensor] = []
        for number, frame in enumerate(self._frames):
            parts = [read[number]]
            for below in frame.finer:
                pair = below, number
                pool = self.pools[f"{below}_{number}"]
                brought = states[below]
                if pool.sees_data:
                    own = taken[below]
                    brought = joined([own, brought]) if self._frames[below].finer else own
                parts += [statistics[pair], pool(brought, groups[pair])]
            sent = [
                groups[number, up].spread(self.senders[f"{up}_{number}"](before[up]))
                for up in (frame.coarser if self._messages else ())
            ]
            taken.append(joined([*parts, *sent]) if frame.finer else parts[0])
            if str(number) not in self.blocks:
                states.append(taken[-1][..., :0])
                continue
            state = self.blocks[str(number)](taken[-1])
            states.append(state if frame.finer else self._observe(state, sent))
        return taken, states

    def _observe(self, data: Tensor, sent: Sequence[Tensor]) -> Tensor:
        """The state of an observation."""
        scale = FEATURE_SCALE / data.shape[-1]
        if not sent:
            return scale * even(data)
        total = sent[0]
        for message in sent[1:]:
            total = total + message
        linear, inner = total.chunk(2, dim=-1)
        return joined([linear, scale * even(data + inner)])


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Side by side along the last axis, the others broadcast."""
    lead = torch.broadcast_shapes(*(part.shape[:-1] for part in parts))
    return torch.cat([part.expand(*lead, part.shape[-1]) for part in parts], dim=-1)
