"""Encodings that pool data as deep sets do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from pavi.core import HierarchicalModel
from pavi.encodings.computed import ComputedEncodings, check_sizes, default_rounds
from pavi.encodings.message_passing import MessagePassingEncoder
from pavi.encodings.pooling import MeanPooling, Pooling, PrecisionPooling


@final
@dataclass(frozen=True)
class DeepSetEncodings(ComputedEncodings):
    """Encodings computed from data, pooled by means.

    Args:
        dim: The length of an encoding.
        width: The length of a state.
        hidden: The width of hidden layers.
        embedding: The number of learned features of an observation.
        heads: The number of learned precisions in pooling; must divide `width`.
        rounds: Rounds of messages; by default one for nests and four for crossings.

    Raises:
        ValueError: If a number is not positive or `heads` does not divide `width`.

    Reference:
        Zaheer et al. (2017), Deep sets. Hamilton et al. (2017), Inductive representation learning
        on large graphs, for messages between crossed groups.
    """

    dim: int = 16
    width: int = 16
    hidden: int = 16
    embedding: int = 8
    heads: int = 4
    rounds: int | None = None

    def __post_init__(self) -> None:
        check_sizes(self, width=self.width, heads=self.heads)

    def partial(
        self, model: HierarchicalModel, latents: Sequence[str], *, above: bool = True
    ) -> MessagePassingEncoder:
        """See `ComputedEncodings`."""

        def pooling(_: int, width: int, observations: bool, __: bool) -> Pooling:
            return (
                MeanPooling(width) if observations else PrecisionPooling(width, heads=self.heads)
            )

        return MessagePassingEncoder(
            model,
            latents,
            dim=self.dim,
            width=self.width,
            hidden=self.hidden,
            embedding=self.embedding,
            pooling=pooling,
            rounds=self.rounds or default_rounds(model, latents),
            above=above,
        )
