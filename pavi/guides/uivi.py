r"""Unbiased implicit variational inference (UIVI).

All latents, standardised by the prior and unconstrained, are one vector `z` with

.. math:: z = \mu(\epsilon) + \sigma n, \quad \epsilon \sim N(0, I_E),\ n \sim N(0, I_D), \qquad
    q(z) = E_\epsilon\, N(z; \mu(\epsilon), \operatorname{diag} \sigma^2),

for a network :math:`\mu`: an infinite mixture whose density is not tractable.

**Gradient.** The path gradient of the ELBO needs the score only, and that is an average over the
:math:`\epsilon'` that may have made `z` (Fisher's identity):

.. math:: \nabla_z \log q(z) = \frac{E_\epsilon[q(z \mid \epsilon) \nabla_z \log q(z \mid
    \epsilon)]}{q(z)} = E_{q(\epsilon' \mid z)}\big[(\mu(\epsilon') - z) / \sigma^2\big].

Hamiltonian Monte Carlo draws :math:`\epsilon'` from :math:`q(\epsilon) q(z \mid \epsilon)`. It
starts at the :math:`\epsilon` that made `z`, which is an exact draw, and moves on so that it is
not the same one. With `path`, `log_q` has that score `g` as its derivative,
:math:`\mathrm{value} + g^\top (z - \mathrm{stop}(z))`.

**Value.** :math:`\log q(z)` itself is estimated with `L` further noises, as

.. math:: \log \hat q = \log \frac1{L + 1} \sum_{l=0}^L q(z \mid \epsilon_l), \qquad
    \epsilon_0 \text{ made } z,\quad \epsilon_{1..L} \sim N(0, I).

As any of the :math:`\epsilon_l` may be called the one that made `z`, the joint density of `z` and
all noises is :math:`p(\epsilon_{0..L})\, \hat q(z; \epsilon_{0..L})`. So
:math:`E[\log \hat q - \log q]` is the divergence :math:`KL(p\, \hat q \,\|\, p\, q) \geq 0`: the
estimate of :math:`\log q` errs high and the bound low. It is a lower bound of the evidence for
every `L`, and rises to the ELBO as `L` grows. Without `path` the derivative is that of this bound,
which is semi-implicit variational inference.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.distributions import unvalidated
from pavi.guides.base import Draws, Guide
from pavi.guides.completeness import all_given, check_whole
from pavi.guides.frozen import frozen
from pavi.guides.hamiltonian import HMC
from pavi.guides.latent_vector import LatentVector
from pavi.guides.noise import gaussian_noise, seeded
from pavi.guides.plain import plain


@final
class UIVIGuide(Guide):
    """An infinite Gaussian mixture over all latents; for small models and full batches.

    Its bound is spread over the sites, see `pavi.guides.latent_vector`: only the sum means
    something.

    Args:
        model: The template.
        cardinalities: The number of rows of each plate.
        noise_dim: The length of the noise that goes through the network.
        widths: Of the hidden layers.
        spread: Where every sigma starts, in spreads of the prior.
        hmc: The chains that estimate the score.
        extra: `L`, the number of further noises in the estimate of log q.

    Raises:
        ValueError: If a plate has no cardinality or another name has one, or a number is not
            positive; in a step, if a batch does not hold all rows.

    Reference:
        Titsias and Ruiz (2019), Unbiased implicit variational inference. Yin and Zhou (2018),
        Semi-implicit variational inference, for the bound.
    """

    bound: ClassVar[str] = "SIVI bound"
    whole: ClassVar[bool] = True

    def __init__(
        self,
        model: HierarchicalModel,
        cardinalities: Mapping[str, int],
        *,
        noise_dim: int = 3,
        widths: Sequence[int] = (50, 50),
        spread: float = 0.5,
        hmc: HMC | None = None,
        extra: int = 100,
    ) -> None:
        super().__init__()
        numbers = {"noise_dim": noise_dim, "spread": spread, "extra": extra}
        numbers |= {f"widths[{i}]": width for i, width in enumerate(widths)}
        for name, number in numbers.items():
            if not number > 0:
                raise ValueError(f"{name} must be positive, got {number}.")
        self.model = model
        self._cardinalities = dict(cardinalities)
        self._noise_dim, self._widths, self._spread = noise_dim, tuple(widths), spread
        self._hmc, self._extra = hmc or HMC(), extra
        self.latents = LatentVector(model, cardinalities)
        layers: list[nn.Module] = []
        for inputs, outputs in zip((noise_dim, *widths), widths, strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        last = nn.Linear((noise_dim, *widths)[-1], self.latents.dim)
        self.network = nn.Sequential(*layers, last)
        # Means as wide as the prior: from means that hardly differ the mixture is one Gaussian,
        # of which gradients widen sigma as soon as the means, and two modes are not found.
        for layer in self.network:
            if isinstance(layer, nn.Linear):
                nn.init.normal_(
                    layer.weight, std=((1 if layer is last else 2) / layer.in_features) ** 0.5
                )
                nn.init.zeros_(layer.bias)
        self.log_sigma = nn.Parameter(torch.full((self.latents.dim,), math.log(spread)))

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
            ValueError: If the batch does not hold all rows, or some sites are given and not all.
        """
        check_whole(batch, self._cardinalities, guide="UIVIGuide")
        if (drawn_before := all_given(given, self.model)) is not None:
            return drawn_before
        generator = seeded(batch)
        shape = (self._noise_dim + self.latents.dim,)
        both = gaussian_noise(
            draws, shape, batch.like, generator, antithetic=antithetic, width=noise
        )
        source, jitter = both.split([self._noise_dim, self.latents.dim], dim=-1)
        z = self.network(source) + self.log_sigma.exp() * jitter
        extra = gaussian_noise(self._extra, (self._noise_dim,), batch.like, generator)
        if path:
            with torch.no_grad():
                joint = self.log_mixture(z, source, extra)
            score = self.score(z.detach(), source, generator=generator)
            # Zero in value; subtracting the same number leaves the value as it is.
            joint = joint + (score * (z - z.detach())).sum(-1)
        else:
            joint = self.log_mixture(z, source, extra)
        joint = joint - self.latents.scale.log().sum()
        with unvalidated():
            drawn = self.latents.values(self.latents.location + self.latents.scale * z, batch)
        return dataclasses.replace(drawn, log_q=self.latents.spread(joint, drawn.log_q))

    def log_mixture(
        self,
        z: Float[Tensor, "draws dim"],
        source: Float[Tensor, "draws noise"],
        extra: Float[Tensor, "extra noise"],
    ) -> Float[Tensor, " draws"]:
        """The estimate of log q of standardised vectors.

        Args:
            z: The vectors.
            source: The noise that made each.
            extra: Further noise, shared by all.
        """
        own = self._log_component(z, source).unsqueeze(-1)
        others = self._log_component(z.unsqueeze(1), extra)
        return torch.cat([own, others], dim=-1).logsumexp(-1) - math.log(1 + len(extra))

    def score(
        self,
        z: Float[Tensor, "draws dim"],
        source: Float[Tensor, "draws noise"],
        *,
        generator: torch.Generator,
    ) -> Float[Tensor, "draws dim"]:
        """The estimate of the derivative of log q in standardised vectors, without gradients.

        Args:
            z: The vectors.
            source: The noise that made each, where the chains start.
            generator: Of the chains.
        """

        def log_density(noise: Tensor) -> Tensor:
            return self._log_component(z, noise) - 0.5 * noise.square().sum(-1)

        total = torch.zeros_like(z)
        with frozen(self):
            for sample in self._hmc.chain(log_density, source, generator=generator):
                total = total + self.network(sample) - z
        return total / self._hmc.samples / self.log_sigma.detach().mul(2).exp()

    def log_prob(self, values: Mapping[str, Tensor], batch: PlateBatch) -> dict[str, Tensor]:
        """Not tractable.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "the density of a UIVIGuide is not tractable: for its own draws there is an estimate, "
            "the `log_q` of its forward; for other values there is none. Objectives that need "
            "the density of given values, as ForwardKL, want another guide."
        )

    def standardise(self, batch: PlateBatch) -> None:
        """See `Guide`; the network does not look at the data."""

    def initialise(self, batch: PlateBatch) -> None:
        """See `Guide`."""
        self.latents.start(batch)

    def tables(self) -> list[nn.Parameter]:
        """See `Guide`; no parameter belongs to one ground variable."""
        return []

    def networks(self) -> list[nn.Parameter]:
        """See `Guide`; the network computes no encodings but latents."""
        return []

    def config(self) -> Mapping[str, object]:
        """See `Guide`."""
        return {
            "kind": type(self).__name__,
            "noise_dim": self._noise_dim,
            "widths": list(self._widths),
            "spread": self._spread,
            "hmc": plain(self._hmc),
            "extra": self._extra,
        }

    def _log_component(self, z: Tensor, noise: Tensor) -> Tensor:
        """The log density of standardised vectors given the noise, summed over the last axis."""
        residual = (z - self.network(noise)) * torch.exp(-self.log_sigma)
        constant = self.log_sigma.sum() + 0.5 * self.latents.dim * math.log(2 * math.pi)
        return -0.5 * residual.square().sum(-1) - constant
