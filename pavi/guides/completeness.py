"""What guides ask of cardinalities, batches and draws that are given."""

from __future__ import annotations

from collections.abc import Mapping

from pavi.core import HierarchicalModel, PlateBatch
from pavi.guides.base import Draws


def check_cardinalities(model: HierarchicalModel, cardinalities: Mapping[str, int]) -> None:
    """See that every plate has a cardinality, and nothing else.

    Raises:
        ValueError: If a plate has none, or another name has one.
    """
    model.plates.check_names(cardinalities)
    check_complete(model, cardinalities)


def check_complete(model: HierarchicalModel, cardinalities: Mapping[str, int]) -> None:
    """See that every plate has a cardinality.

    Raises:
        ValueError: If one has none.
    """
    if missing := [plate for plate in model.plates if plate not in cardinalities]:
        raise ValueError(
            f"cardinalities lack the plates {missing}; got {dict(cardinalities)}, "
            f"plates are {list(model.plates)}."
        )


def check_whole(batch: PlateBatch, cardinalities: Mapping[str, int], *, guide: str) -> None:
    """See that a batch holds all rows of every plate.

    Args:
        batch: The batch.
        cardinalities: The number of rows of each plate.
        guide: The name of the guide, for the message.

    Raises:
        ValueError: If it does not.
    """
    sizes = {plate: len(batch.rows[plate]) for plate in cardinalities}
    if partial := [plate for plate, size in sizes.items() if size != cardinalities[plate]]:
        raise ValueError(
            f"{guide} draws all latents as one vector, so a batch must hold all rows of every "
            f"plate; of {partial} it holds {[sizes[plate] for plate in partial]} of "
            f"{[cardinalities[plate] for plate in partial]} rows. Leave out the batch sizes."
        )


def all_given(given: Draws | None, model: HierarchicalModel) -> Draws | None:
    """The draws of all latent sites, if they were drawn before.

    Raises:
        ValueError: If some were, and some not.
    """
    if given is None or not given.values:
        return None
    if lacking := [name for name in model.latents if name not in given.values]:
        raise ValueError(
            "this guide draws all latent sites at once: give all of them or none; given are "
            f"{list(given.values)}, missing are {lacking}."
        )
    return given
