"""Problems whose data are simulated, by name, at the sizes of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import final

import torch
from torch import Tensor

from pavi import HierarchicalModel, PlateData
from pavi.models import (
    gaussian_mixture,
    gaussian_random_effects,
    gre_posterior,
    hierarchical_variance,
    multi_session_parcellation,
    nc_log_evidence,
    non_conjugate,
)


@final
@dataclass(frozen=True)
class SimulatedProblem:
    """A model with the sizes at which it is simulated.

    Args:
        template: Makes the model from the sizes that are no plate's.
        sizes: The default sizes: of values, and numbers of rows.
        plates: Per plate of the model, the size that is its number of rows.
        evidence: The exact log evidence of an array of data, where it is known.
        interchangeable: The size whose members may be relabelled all at once, if any.
    """

    template: Callable[..., HierarchicalModel]
    sizes: Mapping[str, int]
    plates: Mapping[str, str]
    evidence: Callable[[Tensor], float] | None = None
    interchangeable: str | None = None

    def model(self, sizes: Mapping[str, int] | None = None) -> HierarchicalModel:
        """The template model.

        Args:
            sizes: Those that differ from the defaults.

        Raises:
            ValueError: If there is no size of a name, or one is not positive.
        """
        rows = set(self.plates.values())
        chosen = self._filled(sizes)
        return self.template(**{name: n for name, n in chosen.items() if name not in rows})

    def cardinalities(self, sizes: Mapping[str, int] | None = None) -> dict[str, int]:
        """The number of rows of each plate; see `model`."""
        chosen = self._filled(sizes)
        return {plate: chosen[name] for plate, name in self.plates.items()}

    def data(
        self,
        model: HierarchicalModel,
        sizes: Mapping[str, int] | None = None,
        *,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> PlateData:
        """Data from the model. They are the same numbers at either precision.

        Args:
            model: As `model(sizes)` made it, or with other scales.
            sizes: Those that differ from the defaults.
            seed: Of the simulation.
            dtype: Of the data.
        """
        simulation = model.simulate(self.cardinalities(sizes), seed=seed)
        return PlateData.from_arrays(simulation.arrays, model, dtype=dtype)

    def exact_evidence(self, data: PlateData) -> float | None:
        """The exact log evidence in nats, None where it is not known. Scales are the defaults."""
        return None if self.evidence is None else self.evidence(data.values["x"])

    def log_labellings(self, sizes: Mapping[str, int] | None = None) -> float:
        """The log number of ways to relabel what is interchangeable; zero if nothing is."""
        if self.interchangeable is None:
            return 0.0
        return math.lgamma(1 + self._filled(sizes)[self.interchangeable])

    def _filled(self, sizes: Mapping[str, int] | None) -> dict[str, int]:
        for name, size in (sizes or {}).items():
            if name not in self.sizes:
                raise ValueError(f"there is no size {name!r}; sizes are {list(self.sizes)}.")
            if size < 1:
                raise ValueError(f"size {name!r} must be positive, got {size}.")
        return {**self.sizes, **(sizes or {})}


SIMULATED: Mapping[str, SimulatedProblem] = MappingProxyType(
    {
        "gre": SimulatedProblem(
            gaussian_random_effects,
            sizes={"dim": 2, "groups": 300, "obs": 50},
            plates={"group": "groups", "obs": "obs"},
            evidence=lambda x: gre_posterior(x).log_evidence,
        ),
        "nc": SimulatedProblem(
            non_conjugate,
            sizes={"dim": 2, "obs": 10},
            plates={"obs": "obs"},
            evidence=nc_log_evidence,
        ),
        "gm": SimulatedProblem(
            gaussian_mixture,
            sizes={"components": 3, "dim": 2, "groups": 3, "obs": 50},
            plates={"group": "groups", "obs": "obs"},
            interchangeable="components",
        ),
        "hv": SimulatedProblem(
            hierarchical_variance,
            sizes={"dim": 2, "groups": 20, "obs": 10},
            plates={"group": "groups", "obs": "obs"},
        ),
        "ms_hbm": SimulatedProblem(
            multi_session_parcellation,
            sizes={"networks": 2, "dim": 3, "subjects": 4, "sessions": 2, "vertices": 20},
            plates={"subject": "subjects", "session": "sessions", "vertex": "vertices"},
            interchangeable="networks",
        ),
    }
)
