r"""Hamiltonian Monte Carlo with a fixed step, one chain per draw.

With momenta :math:`r \sim N(0, I)` and :math:`H(\epsilon, r) = -\log \pi(\epsilon) + |r|^2 / 2`,
leapfrog steps :math:`r \mathrel{+}= \tfrac h2 \nabla \log \pi,\ \epsilon \mathrel{+}= h r,\
r \mathrel{+}= \tfrac h2 \nabla \log \pi` propose a state, which is accepted with probability
:math:`\min(1, e^{H - H'})`. A chain that starts at a draw from :math:`\pi` stays there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor


@final
@dataclass(frozen=True)
class HMC:
    """How chains are run.

    Args:
        burn_in: Iterations before the first sample.
        samples: Samples, one an iteration.
        leapfrog: Leapfrog steps an iteration.
        step_size: Of a leapfrog step.

    Raises:
        ValueError: If a number is out of range.

    Reference:
        Neal (2011), MCMC using Hamiltonian dynamics. The defaults are those of Titsias and Ruiz.
    """

    burn_in: int = 5
    samples: int = 5
    leapfrog: int = 5
    step_size: float = 0.2

    def __post_init__(self) -> None:
        for name, least in (("burn_in", 0), ("samples", 1), ("leapfrog", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}.")
        if not self.step_size > 0:
            raise ValueError(f"step_size must be positive, got {self.step_size}.")

    def chain(
        self,
        log_density: Callable[[Tensor], Tensor],
        start: Tensor,
        *,
        generator: torch.Generator,
    ) -> Iterator[Tensor]:
        """The samples of one chain per draw, `(draws, dim)` each, without gradients.

        Args:
            log_density: Of states `(draws, dim)`, up to a constant, `(draws,)`.
            start: The first states, `(draws, dim)`.
            generator: Of the momenta and decisions.
        """
        state = start.detach()
        log_p, slope = _value_and_slope(log_density, state)
        for iteration in range(self.burn_in + self.samples):
            momentum = torch.randn(
                state.shape, generator=generator, dtype=state.dtype, device=state.device
            )
            kinetic = 0.5 * momentum.square().sum(-1)
            moved, moved_slope, moved_log_p = state, slope, log_p
            for _ in range(self.leapfrog):
                momentum = momentum + 0.5 * self.step_size * moved_slope
                moved = moved + self.step_size * momentum
                moved_log_p, moved_slope = _value_and_slope(log_density, moved)
                momentum = momentum + 0.5 * self.step_size * moved_slope
            gain = moved_log_p - log_p + kinetic - 0.5 * momentum.square().sum(-1)
            uniform = torch.rand(
                gain.shape, generator=generator, dtype=state.dtype, device=state.device
            )
            accepted = uniform.log() < gain  # false where the proposal is not finite
            state = torch.where(accepted.unsqueeze(-1), moved, state)
            slope = torch.where(accepted.unsqueeze(-1), moved_slope, slope)
            log_p = torch.where(accepted, moved_log_p, log_p)
            if iteration >= self.burn_in:
                yield state


def _value_and_slope(
    log_density: Callable[[Tensor], Tensor], state: Tensor
) -> tuple[Tensor, Tensor]:
    with torch.enable_grad():
        state = state.detach().requires_grad_(True)
        value = log_density(state)
        (slope,) = torch.autograd.grad(value.sum(), state)
    return value.detach(), slope
