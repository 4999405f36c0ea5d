"""The plate-amortized guide: one conditional flow per template site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.distributions.transforms import Transform

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import location_and_scale, unvalidated
from pavi.encodings import Encoder, Encodings, FreeEncodings
from pavi.encodings.free import FreeEncoder
from pavi.encodings.lengths import build_encoder
from pavi.flows import AffineFlow, ConditionalFlow, Flow, FlowContext
from pavi.flows.affine import standard_normal_log_prob
from pavi.guides.base import Draws, Guide
from pavi.guides.completeness import check_complete
from pavi.guides.copies import sharing, with_encoder
from pavi.guides.dependence import Dependence, drawing_order, upstream_sites
from pavi.guides.frozen import frozen
from pavi.guides.noise import gaussian_noise, seeded
from pavi.guides.plain import plain
from pavi.guides.prior import PriorReference, prior_references
from pavi.guides.start import unconstrained_start
from pavi.guides.upstream import Upstream


@final
class PlateAmortizedGuide(Guide):
    r"""Shares one conditional flow per template site across all its ground variables.

    .. math:: q(\theta) = \prod_i \prod_n q_i\big(\theta_{i,n} \mid
        E_{i,n}, \theta_{\mathrm{up}(i),n}; \phi_i\big)

    A ground variable keeps only its encoding :math:`E_{i,n}`. Sites are drawn parents first,
    coarse to fine. In unconstrained space a site is Gaussian noise, scaled and shifted to its
    prior given the parents already drawn, and then moved by the flow,

    .. math:: \log q = \log N(\epsilon; 0, I) - \log |\det \partial u / \partial \epsilon|
        - \log |\det \partial \theta / \partial u|.

    For a normal or log-normal prior that start is the prior itself; for others, a Gaussian of the
    same median and interquartile range in unconstrained space. (A prior draw moved by an affine
    map would keep the shape of the prior: the log of a half-normal has a long left tail that no
    posterior with data has.)

    The flow sees upstream sites without plates through their noise, which is standard normal at
    every stage of training, and those on plates through their values, standardised by the prior.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        encodings: Free (PAVI-F) by default.
        flow: The flow of every site that `flows` does not name; affine by default.
        flows: Per site, another flow.
        dependence: What a flow may see: `"faithful"`, `"parents"` or `"none"`, see
            `pavi.guides.dependence`.
        datasets: The plate of data sets, in a lifted model. What lies on it alone counts as
            having no plate, so that the flows are those of the model of one data set.

    Raises:
        ValueError: If a plate has no cardinality, `flows` names a site that is not latent,
            `dependence` is none of the three, or a flow whose coefficients are the encoding has
            encodings that are not free.

    Reference:
        Rouillard et al. (2023), PAVI: Plate-amortized variational inference, TMLR.
    """

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        encodings: Encodings | None = None,
        flow: Flow | None = None,
        flows: Mapping[str, Flow] | None = None,
        dependence: str = "faithful",
        datasets: str | None = None,
    ) -> None:
        super().__init__()
        self._datasets = datasets
        flow, flows = flow or AffineFlow(), flows or {}
        encodings = encodings or FreeEncodings()
        _check(model, cardinalities, flows, dependence)
        self.model = model
        self._encodings, self._flow, self._flows = encodings, flow, dict(flows)
        self._dependence = Dependence(dependence)
        references = prior_references(model)
        chosen = {name: flows.get(name, flow) for name in model.latents}
        dims = {name: len(reference.center) for name, reference in references.items()}
        carried = [
            name
            for name, reference in references.items()
            if reference.scales
            and chosen[name].follows_prior
            # A prior carries what one dimension needs, not what it needs of the others.
            and not (dims[name] > 1 and chosen[name].correlates)
        ]
        self._upstream = Upstream.of(
            model, upstream_sites(model, self._dependence, carried=carried)
        )
        self._order = drawing_order(model)
        self.flows = nn.ModuleDict()
        seen = {name: sum(dims[n] for n in self._upstream.sites[name]) for name in self._order}
        lengths = {
            name: length
            for name in self._order
            if (length := chosen[name].encoding_dim(dim=dims[name], upstream=seen[name]))
        }
        self.encoder: Encoder = build_encoder(encodings, model, cardinalities, lengths=lengths)
        self._has_scale = {name: reference.scales for name, reference in references.items()}
        for name in self._order:
            reference = references[name]
            built = chosen[name].build(
                dim=dims[name],
                upstream=seen[name],
                encoding=lengths.get(name, encodings.dim),
            )
            if chosen[name].follows_prior:
                built.set_reference(reference.location, reference.scale)
            else:
                built.set_reference(reference.center, reference.spread)
            if not model.sites[name].plates:
                built.keep_apart()
            self.flows[name] = built
            self._register(name, reference)

    def forward(
        self,
        batch: PlateBatch,
        *,
        draws: int,
        path: bool = False,
        antithetic: bool = False,
        noise: float = 1.0,
        given: Draws | None = None,
        sites: Sequence[str] | None = None,
    ) -> Draws:
        """See `Guide`."""
        result = Draws()
        fixed_features: dict[str, Tensor] = {}
        generator = seeded(batch)
        encodings = self.encoder(batch)
        needed = set(self._order if sites is None else self._upstream.needed(sites))
        with unvalidated():
            for name in self._order:
                if name not in needed:
                    continue
                if given is not None and name in given.values:
                    for ours, theirs in zip(_fields(result), _fields(given), strict=True):
                        ours[name] = theirs[name]
                    continue
                prior = self.model.conditional(name, result.values, batch, draws=draws)
                transform = self.model.transform(prior)
                context, event = self._context(
                    name, prior, transform, encodings[name], result.features, batch
                )
                shape = (*batch.shape(self.model.sites[name].plates), prod(event))
                base = gaussian_noise(
                    draws, shape, batch.like, generator, antithetic=antithetic, width=noise
                )
                flow = self.flows[name]
                assert isinstance(flow, ConditionalFlow)
                flat, log_det = flow(base, context)
                result.features[name] = self._feature(name, base, flat)
                if path:
                    fixed = context.detached(self._upstream.features(name, fixed_features, batch))
                    with frozen(flow):
                        base, log_det = flow.inverse(flat, fixed)
                    fixed_features[name] = self._feature(name, base, flat)
                log_q = standard_normal_log_prob(base) - log_det
                value = flat.reshape(*flat.shape[:-1], *event)
                if transform is not None:
                    constrained = transform(value)
                    log_q = log_q - transform.log_abs_det_jacobian(value, constrained)
                    value = constrained
                result.values[name] = value
                result.log_p[name] = prior.log_prob(value)
                result.log_q[name] = log_q
        return result

    def log_prob(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """See `Guide`."""
        encodings = self.encoder(batch)
        features: dict[str, Tensor] = {}
        found = {}
        with unvalidated():
            for name in self._order:
                value = values[name]
                prior = self.model.conditional(name, values, batch, draws=len(value))
                transform = self.model.transform(prior)
                context, event = self._context(
                    name, prior, transform, encodings[name], features, batch
                )
                free = value if transform is None else transform.inv(value)
                flat = free.reshape(*free.shape[: free.ndim - len(event)], -1)
                flow = self.flows[name]
                assert isinstance(flow, ConditionalFlow)
                noise, log_det = flow.inverse(flat, context)
                features[name] = self._feature(name, noise, flat)
                found[name] = standard_normal_log_prob(noise) - log_det
                if transform is not None:
                    found[name] = found[name] - transform.log_abs_det_jacobian(free, value)
        return found

    def standardise(self, batch: PlateBatch) -> None:
        """See `Guide`."""
        self.encoder.standardise(batch)

    @property
    def amortized(self) -> bool:
        """Whether encodings are computed from data, and not only looked up."""
        return not isinstance(self.encoder, FreeEncoder)

    def grounded(self, encodings: Mapping[str, Tensor]) -> PlateAmortizedGuide:
        """The guide of the same flows that holds these encodings, `(*plates, dim)` per site.

        It draws any rows without looking at data.
        """
        return with_encoder(self, FreeEncoder.holding(self.model, encodings))

    def resized(self, rows: Mapping[str, Tensor]) -> PlateAmortizedGuide:
        """The guide of the same flows for other rows, see `Encoder.resized`."""
        return with_encoder(self, self.encoder.resized(rows))

    def lowered(
        self, model: HierarchicalModel, encodings: Mapping[str, Tensor]
    ) -> PlateAmortizedGuide:
        """The guide of one data set, from that of the lifted model; flows are shared.

        Args:
            model: The template that was lifted.
            encodings: Of this data set, `(*plates, dim)` per site.
        """
        twin = PlateAmortizedGuide(
            model,
            dict.fromkeys(model.plates, 1),
            encodings=FreeEncodings(self._encodings.dim),
            flow=self._flow,
            flows=self._flows,
            dependence=str(self._dependence),
        )
        return with_encoder(sharing(twin, self), FreeEncoder.holding(model, encodings))

    def encodings(self) -> dict[str, Tensor]:
        """The encodings that a guide holds, `(*plates, dim)` per site."""
        assert isinstance(self.encoder, FreeEncoder)
        return self.encoder.encodings()

    @torch.no_grad()
    def initialise(
        self, batch: PlateBatch, *, rows: Mapping[str, Sequence[int] | np.ndarray] | None = None
    ) -> None:
        """See `Guide`.

        Args:
            batch: All data.
            rows: Per plate of which this guide holds some rows only, which ones.
        """
        for name in self.model.latents:
            value = unconstrained_start(self.model, name, batch)
            if value is None:
                continue
            for axis, plate in enumerate(self.model.sites[name].plates):
                if rows is not None and plate in rows:
                    value = value.index_select(axis, torch.as_tensor(rows[plate]))
            flow = self.flows[name]
            assert isinstance(flow, ConditionalFlow)
            location, scale = flow.reference()
            self.encoder.start(name, (value.reshape(-1, len(location)) - location) / scale)

    def tables(self) -> list[nn.Parameter]:
        """See `Guide`."""
        return list(self.encoder.tables().values())

    def networks(self) -> list[nn.Parameter]:
        """See `Guide`."""
        found = [*self.encoder.networks()]
        for flow in self.flows.values():
            assert isinstance(flow, ConditionalFlow)
            found.extend(flow.networks())
        return found

    @property
    def tables_from(self) -> float:
        """See `Guide`."""
        return self.encoder.tables_from

    def config(self) -> Mapping[str, object]:
        """See `Guide`."""
        return {
            "kind": type(self).__name__,
            "encodings": plain(self._encodings),
            "flow": plain(self._flow),
            "flows": {name: plain(flow) for name, flow in self._flows.items()},
            "dependence": str(self._dependence),
        }

    def _register(self, name: str, reference: PriorReference) -> None:
        for field in ("center", "spread", "scale", "offset"):
            value = getattr(reference, field).to(torch.get_default_dtype())
            self.register_buffer(f"_{field}_{name}", value)

    def _context(
        self,
        name: str,
        prior: Distribution,
        transform: Transform | None,
        encoding: Tensor,
        features: Mapping[str, Tensor],
        batch: PlateBatch,
    ) -> tuple[FlowContext, torch.Size]:
        """What the flow sees, and the shape of one unconstrained value."""
        location, scale = location_and_scale(prior, transform)
        plates = len(self.model.sites[name].plates)
        event = location.shape[1 + plates :]
        location = location.flatten(1 + plates) if event else location.unsqueeze(-1)
        typical = getattr(self, f"_scale_{name}")
        relative = None
        if self._has_scale[name]:
            assert scale is not None
            scale = scale.flatten(1 + plates) if event else scale.unsqueeze(-1)
            relative = scale / typical
        else:
            location = location + getattr(self, f"_offset_{name}")
            scale = typical
        upstream = self._upstream.features(name, features, batch)
        return FlowContext(encoding, upstream, location, scale, relative), event

    def _feature(self, name: str, noise: Tensor, flat: Tensor) -> Tensor:
        """What the sites drawn later see of this one."""
        if not set(self.model.sites[name].plates) - {self._datasets}:
            return noise
        center, spread = getattr(self, f"_center_{name}"), getattr(self, f"_spread_{name}")
        return (flat - center) / spread


def _fields(draws: Draws) -> Iterator[dict[str, Tensor]]:
    yield from (draws.values, draws.log_p, draws.log_q, draws.features)


def _check(
    model: HierarchicalModel,
    cardinalities: Mapping[str, int],
    flows: Mapping[str, Flow],
    dependence: str,
) -> None:
    check_complete(model, cardinalities)
    if unknown := sorted(set(flows) - set(model.latents)):
        raise ValueError(f"flows name {unknown}; latent sites are {list(model.latents)}.")
    if dependence not in list(Dependence):
        choices = [str(choice) for choice in Dependence]
        raise ValueError(f"dependence must be one of {choices}, got {dependence!r}.")
