r"""Whether the ELBO had stopped rising when a fit ended.

A history holds the ELBO of every tenth step, each from a batch and draws of its own, so that its
entries scatter independently around a slowly moving mean. Cut its last fifth in two halves of `n`
entries: the later mean minus the earlier one is the `gain`, with the standard error
:math:`\sqrt{(s_1^2 + s_2^2) / n}`. A gain counts as a rise if it exceeds two standard errors and
matters: more than half a nat, or a thousandth of a nat per latent dimension.

A learning rate that falls to zero flattens every course. A plateau says that this run was
done, not that no other run would get further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import torch

PART = 0.2
LEAST_ENTRIES = 10
ERRORS = 2.0
NATS, NATS_PER_LATENT = 0.5, 1e-3


@final
@dataclass(frozen=True)
class Course:
    """The end of the course of an ELBO.

    Args:
        gain: The mean of its last tenth minus that of the tenth before, in nats.
        standard_error: Of the gain.
        tolerance: The gain that would matter, in nats.
        steps: How many steps these two tenths span.
    """

    gain: float
    standard_error: float
    tolerance: float
    steps: int

    @property
    def rising(self) -> bool:
        """Whether more steps would have raised the ELBO."""
        return self.gain > max(ERRORS * self.standard_error, self.tolerance)

    @property
    def falling(self) -> bool:
        """Whether the fit was on its way down."""
        return -self.gain > max(ERRORS * self.standard_error, self.tolerance)

    @property
    def hidden(self) -> bool:
        """Whether the scatter of the batches would hide a gain several times what matters."""
        return not self.rising and ERRORS * self.standard_error > 10 * self.tolerance


def course(history: Mapping[str, Sequence[float | int]], *, latents: int) -> Course | None:
    """The end of the course of a fit; None if none was kept, or too little of it.

    Args:
        history: The lists `steps` and `elbo`, as a posterior has them.
        latents: The number of latent dimensions.
    """
    elbo = torch.tensor(history.get("elbo", []), dtype=torch.float64)
    half = max(int(len(elbo) * PART / 2), LEAST_ENTRIES // 2)
    if len(elbo) < 2 * LEAST_ENTRIES:
        return None
    earlier, later = elbo[-2 * half : -half], elbo[-half:]
    steps = history["steps"]
    return Course(
        gain=float(later.mean() - earlier.mean()),
        standard_error=float(((earlier.var() + later.var()) / half).sqrt()),
        tolerance=max(NATS, NATS_PER_LATENT * latents),
        steps=int(steps[-1] - steps[-2 * half]),
    )
