"""Encodings of a row computed from what lies on or below it, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import final

from pavi.core import HierarchicalModel
from pavi.encodings.computed import ComputedEncodings
from pavi.encodings.deep_set import DeepSetEncodings
from pavi.encodings.message_passing import MessagePassingEncoder
from pavi.encodings.set_transformer import SetTransformerEncodings


@final
@dataclass(frozen=True)
class OwnDataEncodings(ComputedEncodings):
    r"""Data pooled plate by plate, from the finest up; an encoding reads off one level.

    .. math:: E_0 = X, \qquad E_h = \mathrm{pool}_{h-1}(E_{h-1})

    Nothing comes down again: the encoding of a group does not know of other groups.

    Args:
        pooled: How rows are pooled.

    Raises:
        ValueError: If `pooled` has more than one round; the second sees other groups.

    Reference:
        Rouillard and Wassermann (2022), ADAVI, equation 1.
    """

    pooled: DeepSetEncodings | SetTransformerEncodings = field(
        default_factory=lambda: SetTransformerEncodings(width=16)
    )

    def __post_init__(self) -> None:
        if self.pooled.rounds not in (None, 1):
            raise ValueError(
                "encodings of a row's own data take one round, in which nothing comes from above; "
                f"got {self.pooled.rounds} rounds."
            )

    @property
    def dim(self) -> int:  # type: ignore[override]
        """The length of an encoding."""
        return self.pooled.dim

    def partial(
        self, model: HierarchicalModel, latents: Sequence[str], *, above: bool = False
    ) -> MessagePassingEncoder:
        """See `ComputedEncodings`; a row never hears of the rows above it."""
        return replace(self.pooled, rounds=1).partial(model, latents, above=False)
