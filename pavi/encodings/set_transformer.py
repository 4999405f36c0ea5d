"""Encodings that pool data as set transformers do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from pavi.core import HierarchicalModel
from pavi.encodings.computed import ComputedEncodings, check_sizes, default_rounds
from pavi.encodings.message_passing import MessagePassingEncoder
from pavi.encodings.pooling import AttentionPooling, MeanPooling, Pooling


@final
@dataclass(frozen=True)
class SetTransformerEncodings(ComputedEncodings):
    """Encodings computed from data, pooled by attention beside the means of the data.

    Args:
        dim: The length of an encoding.
        width: The length of a state, and of attention.
        hidden: The width of hidden layers.
        embedding: The number of learned features of an observation that carries messages.
        heads: Of attention; must divide `width`.
        inducing: The number of learned summaries that the rows of a group attend to.
        seeds: The number of learned queries that read a group off.
        rounds: Rounds of messages; by default one for nests and four for crossings.

    Raises:
        ValueError: If a number is not positive or `heads` does not divide `width`.

    Reference:
        Lee et al. (2019), Set transformer.
    """

    dim: int = 16
    width: int = 8
    hidden: int = 16
    embedding: int = 8
    heads: int = 2
    inducing: int = 2
    seeds: int = 1
    rounds: int | None = None

    def __post_init__(self) -> None:
        check_sizes(self, width=self.width, heads=self.heads)

    def partial(
        self, model: HierarchicalModel, latents: Sequence[str], *, above: bool = True
    ) -> MessagePassingEncoder:
        """See `ComputedEncodings`."""

        def pooling(data: int, width: int, observations: bool, messages: bool) -> Pooling:
            # Attention to observations reads the data, once, and embeds them itself; messages are
            # differences of effects, which add up, and attention to them would cost most of a
            # step in every round.
            if observations and messages:
                return MeanPooling(width)
            return AttentionPooling(
                data if observations else data + width,
                width=self.width,
                heads=self.heads,
                inducing=self.inducing,
                seeds=self.seeds,
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
