"""A guide trained over simulated data sets: a new data set needs one pass and no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from pavi.core import HierarchicalModel
from pavi.data import PlateData
from pavi.data.simulated import DATASET
from pavi.guides import PlateAmortizedGuide
from pavi.posterior.encode import encode
from pavi.posterior.posterior import Posterior
from pavi.posterior.signature import difference, signature


@final
class AmortizedPosterior:
    """The posterior as a function of the data.

    Args:
        model: The template.
        guide: A guide of the lifted model, trained over simulated data sets.
        history: The course of training: lists `steps`, `seconds` and `elbo`.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        guide: PlateAmortizedGuide,
        *,
        history: Mapping[str, Sequence[float | int]] | None = None,
    ) -> None:
        self.model, self.guide = model, guide.eval()
        self.history = {key: list(values) for key, values in (history or {}).items()}

    def condition(self, data: PlateData) -> Posterior:
        """The posterior of a data set, of any cardinalities.

        Raises:
            ValueError: If the data belong to another model or hold no observed values.
        """
        if found := difference(signature(self.model), signature(data.model)):
            raise ValueError(f"the data belong to another model than the guide: {found}.")
        if absent := [site for site in data.model.observed if site not in data.measured]:
            raise ValueError(
                f"conditioning needs the observed values of {absent}; the data hold "
                f"{list(data.measured)}."
            )
        one = PlateData(
            model=self.guide.model,
            cardinalities={DATASET: 1, **data.cardinalities},
            links=data.links,
            values={name: data.whole(name).unsqueeze(0) for name in data.measured},
            present={name: mask.unsqueeze(0) for name, mask in data.present.items()},
            labels={},
            like=data.like,
        )
        encodings = encode(self.guide.encoder, one)
        settled = {name: encoding.squeeze(0) for name, encoding in encodings.items()}
        return Posterior(self.guide.lowered(data.model, settled), data)
