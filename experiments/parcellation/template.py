"""The model of a cohort, and the family that is fitted to it."""

from __future__ import annotations

import torch
from torch import Tensor

from experiments.parcellation.config import ParcellationConfig
from experiments.parcellation.encodings import (
    SUMMARIES,
    ParcellationEncoder,
    ParcellationEncodings,
)
from experiments.parcellation.start import Start
from pavi import AffineFlow, Covariate, HierarchicalModel, PlateAmortizedGuide, PlateData
from pavi.data.stores import Store
from pavi.encodings.free import FreeEncoder
from pavi.models import shared_label_parcellation


def build_model(config: ParcellationConfig, *, sessions: int, dim: int) -> HierarchicalModel:
    """`shared_label_parcellation` with the covariates that encodings are computed from.

    These are `profile (subject, sessions, networks, dim)`, `count (subject, networks)` and
    `frequency (vertex, networks)`, see `Start`; no density depends on them.
    """
    networks, (location, width) = config.networks, config.prior.log_scale
    model = shared_label_parcellation(
        networks=networks,
        dim=dim,
        sessions=sessions,
        log_scale=(location, width),
        group_logits=config.prior.group_logits,
        subject_logits=config.prior.subject_logits,
    )
    shapes = {
        "profile": ("subject", (sessions, networks, dim)),
        "count": ("subject", (networks,)),
        "frequency": ("vertex", (networks,)),
    }
    summaries = {
        name: Covariate(plates=plate, event_shape=shape) for name, (plate, shape) in shapes.items()
    }
    return HierarchicalModel(
        plates=list(model.plates.values()), sites={**model.sites, **summaries}
    )


def build_data(model: HierarchicalModel, fingerprints: Store | Tensor, start: Start) -> PlateData:
    """The data of a cohort.

    Args:
        model: The template, with summaries.
        fingerprints: `(subject, vertex, session, dim)`.
        start: Holds the summaries.
    """
    summaries = {
        "profile": start.profiles,
        "count": start.counts,
        "frequency": start.frequencies,
    }
    return PlateData.from_arrays({"x": fingerprints, **summaries}, model)


def build_guide(config: ParcellationConfig, data: PlateData, start: Start) -> PlateAmortizedGuide:
    """The plate-amortized guide, where the fit begins.

    A site follows its prior given the draws above it by Bayes' rule; what else lies upstream is
    not seen (`dependence="none"`): with a thousand subjects and tens of thousands of vertices, the
    sites without plates are known far better than they could be told from their children. Free
    encodings begin at those that would be computed, but for the logits of subjects, which begin
    at the prior.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(config.seed)
        guide = PlateAmortizedGuide(
            data.model,
            data.cardinalities,
            encodings=config.encodings.build(),
            flow=AffineFlow(direct=True),
            dependence="none",
        )
        encoder = guide.encoder
        if isinstance(encoder, ParcellationEncoder):
            encoder.begin(start)
            return guide
        assert isinstance(encoder, FreeEncoder)
        lengths = {name: table.shape[-1] for name, table in encoder.encodings().items()}
        computed = ParcellationEncodings().build(data.model, data.cardinalities, lengths=lengths)
    computed.begin(start)
    with torch.no_grad():
        found = computed(data.batch(sites=SUMMARIES))
    for site, value in found.items():
        encoder.start(site, value.reshape(-1, value.shape[-1]))
    return guide
