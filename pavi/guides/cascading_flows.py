r"""Cascading flows (CF): the prior, bent by a highway flow per ground variable.

With auxiliaries :math:`\epsilon` from the inverted graph (`pavi.guides.inverted_graph`) and a
highway flow :math:`F_v` per latent ground variable (`pavi.guides.highway`), parents first,

.. math:: u_v \sim p(u \mid \mathrm{pa}(\theta_v)), \qquad
    (\theta_v, \epsilon_v') = F_v(u_v, \epsilon_v).

The map of all :math:`(u, \epsilon)` to all :math:`(\theta, \epsilon')` is one to one, as every
:math:`F_v` is, and its Jacobian is triangular in the order of drawing. So

.. math:: \log q(\theta, \epsilon') = \sum_v \log p(u_v \mid \mathrm{pa}(\theta_v))
    + \log a(\epsilon_v \mid \epsilon_{c(v)}) - \log |\det F_v'|,

but :math:`q(\theta)` is not tractable. For any density :math:`r(\epsilon')`,

.. math:: \mathrm{ELBO} = E\Big[\log \frac{p(\theta, x)\, r(\epsilon')}{q(\theta, \epsilon')}\Big]
    + E\, KL\big(q(\epsilon' \mid \theta) \,\|\, r(\epsilon')\big)

and the first term is the *augmented ELBO*, a lower bound of the ELBO. The density `r` is that of
the inverted graph, :math:`r(\epsilon') = \prod_v a(\epsilon'_v \mid \epsilon'_{c(v)})`, with the
same weights. `log_q` of a site is :math:`\log q(\theta_v, \epsilon'_v) - \log r(\epsilon'_v)`. It
starts at the prior but for the softplus; with gates at one and auxiliaries untouched it is the
prior exactly and the terms of the auxiliaries cancel.

Path gradient. :math:`\log q(\theta, \epsilon')` is taken as a function of what was drawn, all
parameters held fixed; :math:`\log r` is part of the target and keeps its gradients.

The flow acts in unconstrained space, standardised by the median and spread of the prior.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import unvalidated
from pavi.encodings.free import FreeEncoder
from pavi.encodings.inputs import center_and_width
from pavi.flows.affine import standard_normal_log_prob
from pavi.guides.base import Draws, Guide
from pavi.guides.completeness import all_given, check_cardinalities
from pavi.guides.highway import HighwayShape
from pavi.guides.inverted_graph import InvertedGraph
from pavi.guides.noise import gaussian_noise, seeded
from pavi.guides.prior import prior_references
from pavi.guides.prior_draw import prior_draw
from pavi.guides.start import unconstrained_start
from pavi.nn import SkipBlock


@final
class CascadingFlowsGuide(Guide):
    """A highway flow with weights of its own for every ground variable.

    Weights grow with the number of ground variables. Tables hold one row of them each, of which
    a step moves those of its batch.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        auxiliary: The number of auxiliaries of a ground variable.
        gate: Where every gate starts.
        amortised: Whether auxiliaries of data are shifted by a network of the datum, one per
            observed site. (A single data set needs none: then they are noise.) This is the
            amortised form within one data set; the guide cannot be trained over simulated ones.
        hidden: The width of its hidden layer.

    Raises:
        ValueError: If a plate has no cardinality or another name has one, or a number is out of
            range; in a step, if rows below a row of the batch are missing.

    Reference:
        Ambrogioni, Silvestri and van Gerven (2021), Automatic variational inference with
        cascading flows. Rouillard and Wassermann (2022), ADAVI, for the amortised form.
    """

    bound: ClassVar[str] = "augmented ELBO"
    whole: ClassVar[bool] = True

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        auxiliary: int = 8,
        gate: float = 0.5,
        amortised: bool = False,
        hidden: int = 32,
    ) -> None:
        super().__init__()
        check_cardinalities(model, cardinalities)
        for name, number in (("auxiliary", auxiliary), ("hidden", hidden)):
            if number < 1:
                raise ValueError(f"{name} must be positive, got {number}.")
        if not 0 < gate < 1:
            raise ValueError(f"gate must lie between 0 and 1, got {gate}.")
        self.model = model
        self._auxiliary, self._gate = auxiliary, gate
        self._amortised, self._hidden = amortised, hidden
        self._graph = InvertedGraph(model, cardinalities)
        self._shapes: dict[str, HighwayShape] = {}
        self.encoders = nn.ModuleDict()
        for name, reference in prior_references(model).items():
            shape = HighwayShape(dim=len(reference.center), auxiliary=auxiliary, gate=gate)
            self._shapes[name] = shape
            # The numbers of the flow and the logits of the children's weights and of new noise.
            size = sum(shape.sizes) + len(self._graph.children[name]) + 1
            self.encoders[name] = FreeEncoder(model, [name], cardinalities, dim=size)
            for field in ("center", "spread"):
                value = getattr(reference, field).to(torch.get_default_dtype())
                self.register_buffer(f"_{field}_{name}", value)
        self.shifts = nn.ModuleDict()
        for name in model.observed if amortised else ():
            inputs = prod(model.sites[name].event_shape)
            self.shifts[name] = SkipBlock(inputs, auxiliary, hidden=hidden, zero=True)
            self.register_buffer(f"_data_location_{name}", torch.zeros(inputs))
            self.register_buffer(f"_data_scale_{name}", torch.ones(inputs))

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
        """See `Guide`; all sites are drawn whatever `sites` says.

        Raises:
            ValueError: If rows below a row are missing, some sites are given and not all, or the
                amortised form lacks observed values.
        """
        self._graph.check(batch)
        if (drawn_before := all_given(given, self.model)) is not None:
            return drawn_before
        generator = seeded(batch)

        def fresh(name: str) -> Tensor:
            shape = (*batch.shape(self.model.sites[name].plates), self._auxiliary)
            return gaussian_noise(
                draws, shape, batch.like, generator, antithetic=antithetic, width=noise
            )

        numbers, weights = self._look_up(batch)
        before = {name: fresh(name) + self._shift(name, batch) for name in self.model.observed}
        for name in self._graph.order:
            mean = self._graph.mean(name, weights[name], before, batch)
            before[name] = mean + weights[name][..., -1:] * fresh(name)
        # What the path gradient reads back from the draws; data have no flow.
        recovered = {name: before[name] for name in self.model.observed}
        after = dict(recovered)
        result = Draws()
        with unvalidated():
            for name in self.model.latents:
                prior = self.model.conditional(name, result.values, batch, draws=draws)
                transform = self.model.transform(prior)
                start = prior_draw(
                    prior, generator, like=batch.like, antithetic=antithetic, noise=noise
                )
                free = start if transform is None else transform.inv(start)
                lead = (draws, *batch.shape(self.model.sites[name].plates))
                event, dim = free.shape[len(lead) :], self._shapes[name].dim
                center, spread = getattr(self, f"_center_{name}"), getattr(self, f"_spread_{name}")
                flow = self._shapes[name].flow(numbers[name])
                x = torch.cat([(free.reshape(*lead, dim) - center) / spread, before[name]], dim=-1)
                y, log_det = flow.forward(x)
                if path:
                    x, log_det = flow.detached().inverse(y, at=x)
                    free = (center + spread * x[..., :dim]).reshape(*lead, *event)
                    start = free if transform is None else transform(free)
                log_q = prior.log_prob(start) - log_det
                value = (center + spread * y[..., :dim]).reshape(*lead, *event)
                if transform is not None:
                    log_q = log_q + transform.log_abs_det_jacobian(free, start)
                    constrained = transform(value)
                    log_q = log_q - transform.log_abs_det_jacobian(value, constrained)
                    value = constrained
                result.values[name] = value
                result.log_p[name] = prior.log_prob(value)
                result.log_q[name] = log_q
                recovered[name], after[name] = x[..., dim:], y[..., dim:]
        for name in self.model.latents:
            fixed = weights[name].detach() if path else weights[name]
            ours = self._log_auxiliary(name, fixed, recovered, batch)
            target = self._log_auxiliary(name, weights[name], after, batch)
            result.log_q[name] = result.log_q[name] + ours - target
        return result

    def log_prob(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """Not tractable.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "the density of a CascadingFlowsGuide is not tractable without its auxiliary noise: "
            "for its own draws the `log_q` of its forward is that of both, for other values there "
            "is none. Objectives that need the density of given values, as ForwardKL, want "
            "another guide."
        )

    @torch.no_grad()
    def standardise(self, batch: PlateBatch) -> None:
        """See `Guide`; the amortised form standardises the data by their mean and deviation."""
        for name in self.shifts:
            rows = self._data(name, batch).flatten(0, -2)
            if name in batch.present:
                rows = rows[batch.present[name].flatten()]
            center, width = center_and_width(rows)
            getattr(self, f"_data_location_{name}").copy_(center)
            getattr(self, f"_data_scale_{name}").copy_(width)

    @torch.no_grad()
    def initialise(self, batch: PlateBatch) -> None:
        """See `Guide`."""
        for name, shape in self._shapes.items():
            start = unconstrained_start(self.model, name, batch)
            if start is None:
                continue
            value = start.reshape(-1, shape.dim)
            center, spread = getattr(self, f"_center_{name}"), getattr(self, f"_spread_{name}")
            flow = shape.flow(value.new_zeros(sum(shape.sizes)))
            bias = flow.unbend((value - center) / spread) / flow.open_part
            self._encoder(name).start(name, bias)

    def tables(self) -> list[nn.Parameter]:
        """See `Guide`."""
        return [t for name in self._shapes for t in self._encoder(name).tables().values()]

    def networks(self) -> list[nn.Parameter]:
        """See `Guide`."""
        return list(self.shifts.parameters())

    def config(self) -> Mapping[str, object]:
        """See `Guide`."""
        return {
            "kind": type(self).__name__,
            "auxiliary": self._auxiliary,
            "gate": self._gate,
            "amortised": self._amortised,
            "hidden": self._hidden,
        }

    def _encoder(self, name: str) -> FreeEncoder:
        encoder = self.encoders[name]
        assert isinstance(encoder, FreeEncoder)
        return encoder

    def _look_up(self, batch: PlateBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Per latent site the numbers of the flows, and the weights on the inverted graph."""
        numbers, weights = {}, {}
        for name, shape in self._shapes.items():
            row = self._encoder(name)(batch)[name]
            numbers[name], logits = row.split(
                [sum(shape.sizes), len(self._graph.children[name]) + 1], dim=-1
            )
            weights[name] = logits.softmax(-1)
        return numbers, weights

    def _log_auxiliary(
        self, name: str, weights: Tensor, noises: Mapping[str, Tensor], batch: PlateBatch
    ) -> Tensor:
        """The log density of a site's auxiliaries given those of its children."""
        scale = weights[..., -1:]
        residual = (noises[name] - self._graph.mean(name, weights, noises, batch)) / scale
        return standard_normal_log_prob(residual) - self._auxiliary * scale.squeeze(-1).log()

    def _data(self, name: str, batch: PlateBatch) -> Tensor:
        """The observed values of a site, `(*plates, inputs)`; zero where missing."""
        if name not in batch.values:
            raise ValueError(
                f"the amortised form looks at the data, but the batch lacks {name!r}; it holds "
                f"{sorted(batch.values)}."
            )
        plates = len(self.model.sites[name].plates)
        value = batch.values[name].to(batch.like)
        flat = value.reshape(*value.shape[:plates], -1)
        if name in batch.present:
            flat = torch.where(batch.present[name].unsqueeze(-1), flat, 0.0)
        return flat

    def _shift(self, name: str, batch: PlateBatch) -> Tensor:
        """The mean of a datum's auxiliaries, `(*plates, A)`; zero where it is missing."""
        if name not in self.shifts:
            return batch.like.new_zeros(())
        location = getattr(self, f"_data_location_{name}")
        scale = getattr(self, f"_data_scale_{name}")
        shift = self.shifts[name]((self._data(name, batch) - location) / scale)
        if name in batch.present:
            shift = torch.where(batch.present[name].unsqueeze(-1), shift, 0.0)
        return shift
