r"""Do the groups differ as the model says? Replicates with groups drawn anew.

Replicates with the effects that each group was fitted with hardly test how groups vary: effects
follow the data. Here all latents on a plate are drawn again from their prior, given the posterior
of what lies above,

.. math:: p(x^{rep} \mid x) = \int p(x^{rep} \mid \theta')\, p(\theta' \mid \theta_{above})\,
    q(\theta_{above})\, d\theta' d\theta_{above},

so that a data set has other groups of the same population, with the sizes and covariates of its
own ones. Means of groups with more spread than those of the replicates, or more of them far out,
speak against the population.

Reference:
    Marshall and Spiegelhalter (2003), Approximate cross-validatory predictive checks in disease
    mapping models; Gelman, Meng and Stern (1996), section 2.3, for mixed replicates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment
from pavi.posterior.ancestral import replicate
from pavi.posterior.joint_draws import BUDGET, JointDraws
from pavi.posterior.report.statistic import Statistic

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

LEVEL = 0.9


@final
@dataclass(frozen=True)
class GroupCheck:
    """How the means of groups compare with those of new groups of the same sizes.

    Args:
        site: The observed site.
        plate: The plate of the groups.
        statistics: The spread of the means, and the share of groups whose mean lies outside the
            central 90% of the means of their replicates.
    """

    site: str
    plate: str
    statistics: tuple[Statistic, ...]


def group_checks(
    posterior: Posterior, *, draws: int, seed: int, budget: int = BUDGET
) -> list[GroupCheck]:
    """Compare the means of groups with replicates that have new groups.

    Groups of a single value have no check: that is the one of all values.

    Args:
        posterior: With its data.
        draws: The number of replicates.
        seed: Of the draws.
        budget: How many numbers a part may hold; of a plate with more rows than fit at all draws,
            evenly spread ones are looked at.
    """
    return [
        _check(posterior, site, plate, draws=draws, seed=seed, budget=budget)
        for plate in posterior.model.plates
        for site in _grouped(posterior.model, plate)
        if posterior.data.cardinalities[plate] > 1
    ]


def _grouped(model: HierarchicalModel, plate: str) -> list[str]:
    """The observed sites with several values in a row of a plate that has latents."""
    if not any(plate in model.sites[name].plates for name in model.latents):
        return []
    reach = {name: model.plates.closure(model.sites[name].plates) for name in model.observed}
    return [
        name
        for name in model.observed
        if plate in reach[name] and tuple(model.sites[name].plates) != (plate,)
    ]


def _check(
    posterior: Posterior, site: str, plate: str, *, draws: int, seed: int, budget: int
) -> GroupCheck:
    model, data = posterior.model, posterior.data
    redrawn = [
        name for name in model.latents if plate in model.plates.closure(model.sites[name].plates)
    ]
    above = [name for name in model.latents if name not in redrawn]
    number = data.cardinalities[plate]
    looked_at = torch.linspace(0, number - 1, min(number, max(1, budget // draws))).long()
    place = torch.full((number,), -1).index_put((looked_at,), torch.arange(len(looked_at)))
    joint = JointDraws(posterior.guide, data, draws=draws, seed=seed, budget=budget, observed=True)
    measured = torch.zeros(1, len(looked_at), dtype=torch.float64)
    replicated = torch.zeros(draws, len(looked_at), dtype=torch.float64)
    counts = torch.zeros(1, len(looked_at), dtype=torch.float64)
    shared: dict[str, Tensor] = {}
    for part_number, part in enumerate(joint.parts(above)):
        if site in shared:
            break
        values = {name: part.draws.values[name] for name in above} | shared
        wanted = [name for name in (*redrawn, site) if name not in shared]
        noise = int(np.random.default_rng([seed, part_number, 5]).integers(2**63 - 1))
        drawn = replicate(model, wanted, values, part.batch, draws=draws, seed=noise)
        shared.update({name: drawn[name] for name in wanted if joint.chunks.shared(name)})
        own = part.batch.values[site].unsqueeze(0)
        groups = place.to(own.device)[part.batch.rows[plate]]
        held = (groups >= 0).cpu()
        for total, rows in (
            (measured, own),
            (replicated, drawn[site]),
            (counts, torch.ones_like(own)),
        ):
            sums = _sums(model, site, plate, rows, part.batch).cpu()
            total.index_add_(1, groups.cpu()[held], sums[:, held])
    some = counts[0] > 0
    one = (measured / counts)[0, some].numpy()
    many = (replicated / counts)[:, some].numpy()
    return GroupCheck(site, plate, _statistics(plate, one, many))


def _sums(
    model: HierarchicalModel, site: str, plate: str, values: Tensor, batch: PlateBatch
) -> Tensor:
    """The sums of the values `(draws, *plates, *event)` that are there, `(draws, groups)`."""
    plates = model.sites[site].plates
    rows = values.double().reshape(*values.shape[: 1 + len(plates)], -1).sum(-1)
    if site in batch.present:
        rows = torch.where(batch.present[site], rows, 0.0)
    alignment = Alignment.between(model.plates, (plate,), plates, source_rank=0, target_rank=0)
    return alignment.transposed(rows, batch)


def _statistics(plate: str, measured: np.ndarray, replicated: np.ndarray) -> tuple[Statistic, ...]:
    """What is compared.

    Args:
        plate: Of the groups.
        measured: Their means, `(groups,)`.
        replicated: The means of new groups of the same sizes, `(draws, groups)`.
    """
    low, high = np.quantile(replicated, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)

    def outside(means: np.ndarray) -> np.ndarray:
        return np.asarray(((means < low) | (means > high)).mean(-1))

    return (
        Statistic(
            f"standard deviation of {plate} means",
            float(measured.std()),
            replicated.std(-1),
        ),
        Statistic(
            f"share of {plate} means outside {LEVEL:.0%} of new ones",
            float(outside(measured)),
            outside(replicated),
        ),
    )
