"""Sites: the random variables and the covariates of a template model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, final

from torch.distributions import Distribution

from pavi.core.arguments import argument_names
from pavi.core.initial import Start

Conditional = Callable[..., Distribution]


def _names(plates: str | tuple[str, ...]) -> tuple[str, ...]:
    return (plates,) if isinstance(plates, str) else tuple(plates)


@dataclass(frozen=True)
class _RandomSite:
    """A site with a distribution given its parents.

    Args:
        conditional: Takes the values of the parents, by name, and returns a distribution. A value
            has shape `(draws, *plates of this site, *event)`, with ones where it does not vary.
        plates: The plates that repeat the site, outermost first.
        event_shape: The shape of one value.
    """

    conditional: Conditional
    plates: str | tuple[str, ...] = ()
    event_shape: tuple[int, ...] = ()
    parents: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "plates", _names(self.plates))
        object.__setattr__(self, "event_shape", tuple(self.event_shape))
        parents = argument_names(self.conditional, who="a conditional", names="parents")
        object.__setattr__(self, "parents", parents)


@final
@dataclass(frozen=True)
class Latent(_RandomSite):
    """An unknown quantity; its distribution must be continuous and reparameterised.

    Args:
        conditional: As of every random site.
        plates: As of every random site.
        event_shape: As of every random site.
        init: Where the guide starts, in place of the prior's location: a number, an array
            `(*plates, *event)`, or `KMeans`. It needs a free encoding: of a site without plates,
            or of `FreeEncodings` and `HybridEncodings`.

    Example:
        >>> from torch.distributions import Normal
        >>> Latent(lambda tau: Normal(0.0, tau), plates="school").parents
        ('tau',)
    """

    init: Start | None = None
    kind: ClassVar[str] = "latent"


@final
@dataclass(frozen=True)
class Observed(_RandomSite):
    """A measured quantity with a likelihood."""

    kind: ClassVar[str] = "observed"


@final
@dataclass(frozen=True)
class Covariate:
    """A measured quantity that the model conditions on.

    Args:
        plates: The plates that repeat it, outermost first.
        event_shape: The shape of one value.
    """

    plates: str | tuple[str, ...] = ()
    event_shape: tuple[int, ...] = ()
    parents: ClassVar[tuple[str, ...]] = ()
    kind: ClassVar[str] = "covariate"

    def __post_init__(self) -> None:
        object.__setattr__(self, "plates", _names(self.plates))
        object.__setattr__(self, "event_shape", tuple(self.event_shape))


Site = Latent | Observed | Covariate
