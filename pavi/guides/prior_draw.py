r"""Draws of a distribution with noise that can be seeded and mirrored.

A normal draw is :math:`m + s \epsilon`; a family with a quantile function :math:`F^{-1}` is drawn
as :math:`F^{-1}(\Phi(\epsilon))`; of any other (gamma, beta, Dirichlet, Student's t) torch's own
sampler makes the draw, from the same generator's seed, and the noise is not mirrored: antithetic
draws of these are independent ones.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal

from pavi.guides.noise import gaussian_noise


def prior_draw(
    distribution: Distribution,
    generator: torch.Generator,
    *,
    like: Tensor,
    antithetic: bool,
    noise: float,
) -> Tensor:
    """One reparameterised draw of every entry of a distribution of batch shape `(draws, ...)`.

    Args:
        distribution: The distribution.
        generator: Of the noise.
        like: A tensor of the floating-point type and device wanted.
        antithetic: Whether the second half of the draws mirrors the first.
        noise: The standard deviation of the noise; other than one only to warm up.

    Raises:
        ValueError: If `noise` is not one for a family that is not drawn from Gaussian noise, or
            torch draws the family without gradients.
    """
    shape = distribution.batch_shape + distribution.event_shape
    base = distribution
    while isinstance(base, Independent):
        base = base.base_dist

    def fresh() -> Tensor:
        return gaussian_noise(
            shape[0], shape[1:], like, generator, antithetic=antithetic, width=noise
        )

    if isinstance(base, Normal):
        return base.loc + base.scale * fresh()
    if isinstance(base, MultivariateNormal):
        moved: Tensor = (base.scale_tril @ fresh().unsqueeze(-1)).squeeze(-1)
        return base.loc + moved
    if not base.event_shape:
        tiny = torch.finfo(like.dtype).eps
        level = torch.special.ndtr(fresh()).clamp(tiny, 1 - tiny)
        try:
            return base.icdf(level)
        except NotImplementedError:
            pass
    if noise != 1.0:
        raise ValueError(
            f"the noise of a {type(base).__name__} cannot be made narrower for a warm-up; use a "
            "WarmUp that leaves the noise alone, or a guide with Gaussian noise."
        )
    if not distribution.has_rsample:
        raise ValueError(
            f"this guide moves draws of the prior, and those of {type(base).__name__} have no "
            "gradients; take a guide that moves Gaussian noise, such as PlateAmortizedGuide."
        )
    seed = int(torch.randint(2**62, (), generator=generator, device=like.device))
    on_gpu = like.device.type == "cuda"
    with torch.random.fork_rng(devices=[like.device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)
        if on_gpu:
            torch.cuda.manual_seed(seed)
        drawn: Tensor = distribution.rsample()
    return drawn
