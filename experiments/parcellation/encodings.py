r"""Encodings of a parcellation: summaries of subjects and vertices, and the data of a row.

The posterior of `shared_label_parcellation`, given the labels, is a chain of conjugate updates,
and `AffineFlow(direct=True)` takes what each needs: where the evidence lies, `y`, and its
precision :math:`\lambda`, in units of the typical prior,

.. math:: x = \log(1 + \lambda s_0^2), \qquad b = (1 - e^{-x})\, (y - m_0) / s_0 .

Encodings compute these from a `Start` with few weights that all rows share (in brackets, where
they begin):

* session centroids: :math:`y_{stl} = \sum_k A_{lk}\, c_{stk} + B_l` (A = 1, B = 0), because
  vertices taken for another network's mix centroids, alike in all subjects;
  :math:`\lambda_{sl} = a_l N_{sl} / \kappa^2` (a = 1);
* subject centroids: the mean of those of sessions, and a precision per network;
* group logits of a vertex: :math:`y_n = W \log f_n` plus a hidden layer, and a precision computed
  alike;
* subject logits of a vertex: with :math:`r \propto \mathrm{softmax}(V y_n) \prod_t N(x_t; y_{stl},
  \kappa^2)` and :math:`p = \mathrm{softmax}(V y_n)`, the first-order posterior
  :math:`y_n + \rho^2 V^\top (r - p)` plus what a `SkipBlock` of `r` and `p` adds to it;
* sites without plates have free rows, which begin at the start's moments.

The number of weights does not depend on any cardinality. `residual` adds a free row to the
encodings of named sites (hybrid).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from experiments.parcellation.start import Start
from pavi.core import HierarchicalModel, PlateBatch
from pavi.encodings import Encoder, FlexibleEncodings
from pavi.encodings.free import FreeEncoder
from pavi.encodings.sweep import Sweep
from pavi.guides.prior import prior_references
from pavi.models.label_mixture import LabelMixture
from pavi.models.network_priors import contrasts
from pavi.nn import SkipBlock

ROOTS = ("mu", "log_eps", "log_sigma", "log_kappa")
COMPUTED = ("mu_s", "mu_st", "eta", "pi")
# The covariates of the model that they are computed from, beside the fingerprints.
SUMMARIES = ("profile", "count", "frequency")


@final
@dataclass(frozen=True)
class ParcellationEncodings(FlexibleEncodings):
    """Encodings of `shared_label_parcellation`, computed from summaries (PAVI-E).

    The data must hold the covariates of `with_summaries`.

    Args:
        hidden: The width of hidden layers.
        residual: The sites whose encodings also have a free row (hybrid).

    Raises:
        ValueError: If `hidden` is not positive or a site is not one with computed encodings.
    """

    hidden: int = 32
    residual: tuple[str, ...] = ()
    dim: int = 0  # every length is given by a flow

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise ValueError(f"hidden must be positive, got {self.hidden}.")
        if unknown := sorted(set(self.residual) - set(COMPUTED)):
            raise ValueError(f"residual names {unknown}; there are {list(COMPUTED)}.")

    def build(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        lengths: Mapping[str, int] | None = None,
    ) -> ParcellationEncoder:
        """See `FlexibleEncodings.build`."""
        return ParcellationEncoder(
            model,
            cardinalities,
            hidden=self.hidden,
            residual=self.residual,
            lengths=lengths or {},
        )


@final
class ParcellationEncoder(Encoder):
    """The module of `ParcellationEncodings`.

    Args:
        model: The template, with summaries.
        cardinalities: The number of rows of each plate.
        hidden: The width of hidden layers.
        residual: Sites whose encodings also have a free row.
        lengths: Per site, the length of an encoding.
    """

    basis: Tensor
    location_eta: Tensor
    scale_eta: Tensor
    scale_pi: Tensor

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        hidden: int,
        residual: Sequence[str],
        lengths: Mapping[str, int],
    ) -> None:
        super().__init__()
        sessions, networks, dim = model.sites["mu_st"].event_shape
        free = networks - 1
        self.free = FreeEncoder(model, [*ROOTS, *residual], cardinalities, dim=0, lengths=lengths)
        self._residual = tuple(residual)
        self.register_buffer("basis", contrasts(networks).float(), persistent=False)
        for name, reference in prior_references(model).items():
            for field in ("location", "scale"):
                value = getattr(reference, field).float()
                self.register_buffer(f"{field}_{name}", value, persistent=False)
        self.mixing = nn.Parameter(torch.eye(networks))
        self.shift = nn.Parameter(torch.zeros(networks, dim))
        self.log_kappa = nn.Parameter(torch.zeros(()))
        self.session_gain = nn.Parameter(torch.zeros(networks))
        self.subject_precision = nn.Parameter(torch.zeros(networks))
        self.group = SkipBlock(networks, 2 * free, hidden=hidden, zero=True)
        self.subject = SkipBlock(2 * networks, 2 * free, hidden=hidden, zero=True)

    @torch.no_grad()
    def begin(self, start: Start) -> None:
        """Set what the fit begins with."""
        subjects, sessions, networks, dim = start.profiles.shape
        self.log_kappa.copy_(start.kappa.log())
        error = (start.kappa.square() / start.counts.clamp(min=1.0)).mean(0)
        precision = sessions / (start.sigma.square() + error)
        self.subject_precision.copy_(precision.log())
        # Frequencies are those of draws of labels, whose logits vary around the group's.
        free = networks - 1
        self.group.linear.weight[:free].copy_(self.basis.T / self.scale_eta.unsqueeze(-1))
        self.group.linear.bias[free:].fill_(math.log1p(subjects / networks))
        values = {
            "mu": start.centroids,
            "log_eps": start.eps.log(),
            "log_sigma": start.sigma.log(),
            "log_kappa": start.kappa.log(),
        }
        vertices = float(start.counts.sum())
        information = {
            "mu": (subjects / start.eps.square()).unsqueeze(-1).expand(networks, dim),
            "log_eps": torch.full((networks,), 2.0 * subjects * dim),
            "log_sigma": torch.full((networks,), 2.0 * subjects * max(1, sessions - 1) * dim),
            "log_kappa": torch.tensor(2.0 * vertices * sessions * dim),
        }
        for name, value in values.items():
            coefficients = self._coefficients(
                name, value.reshape(-1), information[name].reshape(-1).log()
            )
            self.free.start(name, coefficients.unsqueeze(0))

    def forward(self, batch: PlateBatch, sweep: Sweep | None = None) -> dict[str, Tensor]:
        """See `Encoder`."""
        found = self.free(batch)
        profiles, counts = batch.values["profile"], batch.values["count"]
        mean = torch.einsum("stld,ml->stmd", profiles, self.mixing) + self.shift
        log_precision = counts.clamp(min=1e-3).log() + self.session_gain - 2 * self.log_kappa
        spread = log_precision[:, None, :, None].expand_as(mean)
        whole = self.subject_precision.unsqueeze(-1).expand_as(mean[:, 0])
        computed = {
            "mu_st": self._coefficients("mu_st", mean.flatten(1), spread.flatten(1)),
            "mu_s": self._coefficients("mu_s", mean.mean(1).flatten(1), whole.flatten(1)),
        }
        logits, computed["eta"] = self._group(batch.values["frequency"])
        if "x" in batch.values:
            computed["pi"] = self._subject(batch.values["x"], mean.detach(), logits)
        for name, value in computed.items():
            found[name] = value + found[name] if name in self._residual else value
        return found

    def standardise(self, batch: PlateBatch) -> None:
        """See `Encoder`; summaries are in the units of the model."""

    def start(self, site: str, coordinates: Tensor) -> None:
        """See `Encoder`."""
        self.free.start(site, coordinates)

    def tables(self) -> dict[str, nn.Parameter]:
        """See `Encoder`."""
        return self.free.tables()

    def networks(self) -> list[nn.Parameter]:
        """See `Encoder`."""
        tables = {id(table) for table in self.free.parameters()}
        return [p for p in self.parameters() if id(p) not in tables]

    def resized(self, rows: Mapping[str, Tensor]) -> ParcellationEncoder:
        """See `Encoder`."""
        twin = copy.copy(self)
        twin._modules = dict(self._modules)
        twin.free = self.free.resized(rows)
        return twin

    def _group(self, frequencies: Tensor) -> tuple[Tensor, Tensor]:
        """Where the group logits of vertices lie, `(vertex, networks)`, and their coefficients."""
        location, x = self.group(frequencies.log()).chunk(2, dim=-1)
        scale, center = self.scale_eta, self.location_eta
        b = -torch.expm1(-x) * location
        return (center + scale * location) @ self.basis.T, torch.cat([b, x], dim=-1)

    def _subject(self, x: Tensor, centroids: Tensor, logits: Tensor) -> Tensor:
        """The coefficients of subject logits, `(subject, vertex, 2 * free)`."""
        scale = self.log_kappa.exp().expand(1, 1)
        mixture = LabelMixture(logits, centroids.unsqueeze(1), scale, validate_args=False)
        r = mixture.label_probabilities(x)
        p = logits.softmax(-1).expand(r.shape)
        first = self.scale_pi * ((r - p) @ self.basis)
        more, widening = self.subject(torch.cat([r, p], dim=-1)).chunk(2, dim=-1)
        # With the precision x, the flow leaves e^{-x} of the prior's location.
        own = -torch.expm1(-widening) * (logits @ self.basis) / self.scale_pi
        return torch.cat([first + more + own, widening], dim=-1)

    def _coefficients(self, name: str, location: Tensor, log_precision: Tensor) -> Tensor:
        """What the flow of a site takes, from where the evidence lies and its precision."""
        center, scale = getattr(self, f"location_{name}"), getattr(self, f"scale_{name}")
        x = torch.nn.functional.softplus(log_precision + 2 * scale.log())
        b = -torch.expm1(-x) * (location - center) / scale
        return torch.cat([b, x], dim=-1)
