"""PAVI-E: encodings that are computed from data."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from pavi.core import HierarchicalModel
from pavi.encodings.base import Encodings
from pavi.encodings.frames import frames_of, without_data
from pavi.encodings.message_passing import MessagePassingEncoder

# Each round of a crossing halves what is left to say, and costs little beside the likelihood: on
# InstEval the ELBO is -118913.8, -118903.2 and -118902.0 for 2, 3 and 4 rounds; with free
# encodings it is -118901.3.
CROSSED = 4


class ComputedEncodings(Encodings):
    """A choice of encoder; concrete ones say how it pools.

    The number of parameters is that of the template, whatever the cardinalities.
    """

    def build(
        self, model: HierarchicalModel, cardinalities: Mapping[str, int]
    ) -> MessagePassingEncoder:
        """See `Encodings.build`.

        Raises:
            ValueError: If no observation lies on or below the plates of a latent site.
        """
        if missing := without_data(model):
            raise ValueError(
                f"latent site {missing[0]!r} on plates {model.sites[missing[0]].plates} has no "
                "observations on or below its plates, so its encodings cannot be computed from "
                "data; use HybridEncodings, which adds free rows, or FreeEncodings."
            )
        return self.partial(model, model.latents)

    @abstractmethod
    def partial(
        self, model: HierarchicalModel, latents: Sequence[str], *, above: bool = True
    ) -> MessagePassingEncoder:
        """The encoder of some of the latent sites.

        Args:
            model: The template.
            latents: The latent sites to encode.
            above: Whether an encoding also tells of the rows above its own.
        """


def default_rounds(model: HierarchicalModel, latents: Sequence[str]) -> int:
    """One round for nests, four where rows lie within several others."""
    crossed = any(len(frame.coarser) > 1 for frame in frames_of(model, latents))
    return CROSSED if crossed else 1


def check_sizes(encodings: Encodings, *, width: int, heads: int) -> None:
    """See that all numbers of an encoder are positive, and that its heads divide its width.

    Raises:
        ValueError: If not.
    """
    for name, value in vars(encodings).items():
        if value is not None and value < 1:
            raise ValueError(f"{name} of an encoder must be positive, got {value}.")
    if width % heads:
        raise ValueError(f"heads must divide width, got {heads} and {width}.")
