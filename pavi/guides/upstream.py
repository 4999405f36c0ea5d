"""The values that the flow of a site sees of the sites drawn before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment


@final
@dataclass(frozen=True)
class Upstream:
    """Per site, what lies upstream of it; made by `Upstream.of`.

    Args:
        model: The template.
        sites: Per latent site, the sites that its flow sees, in drawing order.
        alignments: Per site that is seen and site that sees it, how rows of the one become rows of
            the other.
    """

    model: HierarchicalModel
    sites: Mapping[str, tuple[str, ...]]
    alignments: Mapping[tuple[str, str], Alignment]

    @classmethod
    def of(cls, model: HierarchicalModel, sites: Mapping[str, tuple[str, ...]]) -> Upstream:
        """Upstream values of a model.

        Args:
            model: The template.
            sites: Per latent site, the sites that its flow sees, see `upstream_sites`.
        """
        alignments = {
            (other, name): Alignment.between(
                model.plates,
                model.sites[other].plates,
                model.sites[name].plates,
                source_rank=1,
                target_rank=1,
            )
            for name, seen in sites.items()
            for other in seen
        }
        return cls(model, sites, alignments)

    def features(self, name: str, features: Mapping[str, Tensor], batch: PlateBatch) -> Tensor:
        """What the flow of a site sees, aligned and side by side, `(draws, *plates, upstream)`.

        Args:
            name: The site.
            features: Per site drawn before, `(draws, *its plates, dim)`.
            batch: With the links between rows.
        """
        aligned = [
            self.alignments[other, name](features[other], batch) for other in self.sites[name]
        ]
        if not aligned:
            return batch.like.new_zeros(
                *(1 for _ in batch.shape(self.model.sites[name].plates)), 0
            )
        if len(aligned) == 1:
            return aligned[0]
        lead = torch.broadcast_shapes(*(value.shape[:-1] for value in aligned))
        return torch.cat([value.expand(*lead, value.shape[-1]) for value in aligned], dim=-1)

    def needed(self, sites: Sequence[str]) -> set[str]:
        """The sites and all that their draws depend on."""
        found: set[str] = set()
        waiting = list(sites)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                parents = self.model.sites[name].parents
                waiting += self.sites[name]
                waiting += [parent for parent in parents if parent in self.model.latents]
        return found
