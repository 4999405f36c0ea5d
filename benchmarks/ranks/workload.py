"""What ranks are measured on: the cohort's model, with values that only look like fingerprints."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import final

import torch

import pavi
from benchmarks.ranks.costs import Costs, Network, Step, Table
from experiments.parcellation.config import EncodingsChoice, EncodingsConfig, ParcellationConfig
from experiments.parcellation.start import Start
from experiments.parcellation.template import build_data, build_guide, build_model
from pavi.data import Shard

SESSIONS, NETWORKS, DIM = 2, 7, 64
# As configs/hcp_like/full.yaml has it.
OPTIMIZATION = pavi.Optimization(learning_rate=0.005, network_rate=0.01)


@final
@dataclass(frozen=True)
class Workload:
    """A parcellation of so many subjects and vertices.

    Args:
        subjects: Of the cohort.
        vertices: Of a subject.
        free: Whether encodings are free (PAVI-F) and not computed (PAVI-E).
        drawn: The subjects and vertices that a rank draws in a step.
        draws: Joint draws of the latents in a step.
    """

    subjects: int = 32
    vertices: int = 2048
    free: bool = False
    drawn: tuple[int, int] = (4, 256)
    draws: int = 4

    @property
    def batch(self) -> dict[str, int]:
        """What a rank draws."""
        return dict(zip(("subject", "vertex"), self.drawn, strict=True))

    @property
    def latents(self) -> int:
        """Ground variables: the label logits of subjects, which all others are few beside."""
        return self.subjects * self.vertices * (NETWORKS - 1)

    def costs(self, *, step: Step, network: Network) -> Costs:
        """What this costs, from the sizes of a small copy."""
        copy = replace(self, subjects=1, vertices=1, drawn=(1, 1))
        module, _ = copy.build(rank=0, ranks=1)
        guide = module.guide
        assert isinstance(guide, pavi.PlateAmortizedGuide)
        rows = {"subject": self.subjects, "vertex": self.vertices}
        tables, plates = guide.encoder.tables(), guide.model.sites
        apart = {id(table) for table in tables.values()}
        return Costs(
            weights=sum(p.numel() for p in guide.parameters() if id(p) not in apart),
            tables=[
                Table(
                    rows=prod(rows[plate] for plate in plates[site].plates),
                    width=table.shape[1],
                    drawn=prod(self.batch[plate] for plate in plates[site].plates),
                    split="subject" in plates[site].plates,
                )
                for site, table in tables.items()
            ],
            drawn=prod(self.drawn),
            step=step,
            network=network,
        )

    def build(
        self, *, rank: int, ranks: int
    ) -> tuple[pavi.VariationalInference, pavi.PlateDataModule]:
        """The guide and the batches of a rank; on one of one rank nothing is sharded.

        Args:
            rank: This rank.
            ranks: How many there are.
        """
        name = EncodingsChoice.FREE if self.free else EncodingsChoice.COMPUTED
        config = ParcellationConfig(encodings=EncodingsConfig(name=name), seed=0)
        start = _start(self.subjects, self.vertices)
        generator = torch.Generator().manual_seed(1)
        x = torch.randn(self.subjects, self.vertices, SESSIONS, DIM, generator=generator)
        model = build_model(config, sessions=SESSIONS, dim=DIM)
        data = build_data(model, x, start)
        shard = Shard.of(data, "subject", rank=rank, ranks=ranks) if ranks > 1 else None
        guide = build_guide(config, data if shard is None else shard.data, start)
        module = pavi.VariationalInference(
            guide,
            objective=pavi.ReducedELBO(draws=self.draws),
            optimization=OPTIMIZATION,
            standardise=False,
            shard=shard,
        )
        return module, pavi.PlateDataModule(data, batch=self.batch, seed=0, shard=shard)


def _start(subjects: int, vertices: int) -> Start:
    """A start of the right shape."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    centroids = normal(NETWORKS, DIM)
    return Start(
        centroids=centroids,
        profiles=centroids + 0.1 * normal(subjects, SESSIONS, NETWORKS, DIM),
        counts=torch.full((subjects, NETWORKS), vertices / NETWORKS),
        frequencies=normal(vertices, NETWORKS).softmax(-1),
        kappa=torch.tensor(1.0),
        eps=torch.full((NETWORKS,), 0.1),
        sigma=torch.full((NETWORKS,), 0.1),
    )
