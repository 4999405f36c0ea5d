r"""The highway flow of cascading flows.

For `m` dimensions of the model followed by `A` auxiliaries, with a gate :math:`\lambda \in (0, 1)`
on those of the model and zero on the auxiliaries,

.. math::
    y_1 &= \lambda x + (1 - \lambda) L x, & \log|\det| &= 0 \\
    y_2 &= \lambda y_1 + (1 - \lambda) (U y_1 + b),
        & \log|\det| &= \textstyle\sum \log(\lambda + (1 - \lambda) U_{ii}) \\
    y &= \lambda y_2 + (1 - \lambda) \operatorname{softplus}(y_2),
        & \log|\det| &= \textstyle\sum \log(\lambda + (1 - \lambda) \operatorname{sigmoid}(y_2))

with `L` unit lower triangular and `U` upper triangular of positive diagonal. Through `L`
auxiliaries take in the model's dimensions, through `U` these take in auxiliaries. A gate of one
leaves the model's dimensions as they are.

The softplus acts on the model's dimensions only. On the auxiliaries, which nothing uses after the
flow, it would be a fixed map of each alone; with the auxiliary density `r` moved by the same map
it cancels.

The inverse is needed at points whose image was just computed, for the path gradient. There only
its derivative is new: the triangular layers are solved, and one Newton step of the last layer from
the known root :math:`x_0`, :math:`x = x_0 - (f(x_0) - y) / f'(x_0)`, has the value :math:`x_0` and
the derivative :math:`dx = dy / f'`.

Reference:
    Ambrogioni, Silvestri and van Gerven (2021), Automatic variational inference with cascading
    flows, section 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from pavi.flows.affine import soft_bound
from pavi.flows.triangle import strictly_lower

LOG_DIAGONAL_BOUND = 10.0
NEWTON_STEPS = 30


@final
@dataclass(frozen=True)
class HighwayShape:
    """The sizes of a highway flow, and where its gate starts.

    Args:
        dim: `m`, the dimensions of the model.
        auxiliary: `A`, the number of auxiliaries.
        gate: The gate at the start.
    """

    dim: int
    auxiliary: int
    gate: float

    @property
    def width(self) -> int:
        """The dimensions of the flow."""
        return self.dim + self.auxiliary

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """How many numbers are `b`, the gate, `L`, the diagonal and the rest of `U`."""
        triangle = self.width * (self.width - 1) // 2
        return self.width, 1, triangle, self.width, triangle

    def flow(self, numbers: Tensor) -> Highway:
        """The flow of rows of numbers `(..., sum(sizes))`; zeros are `L = U = I` and `b = 0`."""
        bias, logit, lower, log_diagonal, upper = numbers.split(self.sizes, dim=-1)
        start = math.log(self.gate) - math.log1p(-self.gate)
        on_model = torch.arange(self.width, device=numbers.device) < self.dim
        gate = torch.where(on_model, torch.sigmoid(logit + start), 0.0)
        open_part = torch.where(on_model, torch.sigmoid(-logit - start), 1.0)
        diagonal = gate + open_part * soft_bound(log_diagonal, LOG_DIAGONAL_BOUND).exp()
        below, above = (strictly_lower(part, self.width) for part in (lower, upper))
        assert below is not None
        assert above is not None  # there is a dimension of the model and an auxiliary
        first, second = below * open_part.unsqueeze(-1), above.mT * open_part.unsqueeze(-1)
        return Highway(
            gate=gate[..., : self.dim],
            open_part=open_part[..., : self.dim],
            lower=first + torch.eye(self.width, dtype=numbers.dtype, device=numbers.device),
            upper=second + torch.diag_embed(diagonal),
            bias=open_part * bias,
            log_diagonal=diagonal.log().sum(-1),
        )


@final
@dataclass(frozen=True)
class Highway:
    """A highway flow per row.

    Args:
        gate: Of the model's dimensions, `(..., m)`.
        open_part: One minus the gate, exact for gates near one, `(..., m)`.
        lower: The matrix of the first layer, `(..., m + A, m + A)`.
        upper: The matrix of the second layer, the same shape.
        bias: Of the second layer, `(..., m + A)`.
        log_diagonal: The log-determinant of the second layer, `(...,)`.
    """

    gate: Tensor
    open_part: Tensor
    lower: Tensor
    upper: Tensor
    bias: Tensor
    log_diagonal: Tensor

    def detached(self) -> Highway:
        """The same flow with its parameters held fixed."""
        return Highway(**{name: value.detach() for name, value in vars(self).items()})

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map `(draws, ..., m + A)`; with the log-determinant, `(draws, ...)`."""
        y = _product(self.upper, _product(self.lower, x)) + self.bias
        model, rest = self._split(y)
        log_det = self.log_diagonal + self._slope(model).log().sum(-1)
        return torch.cat([self._bend(model), rest], dim=-1), log_det

    def inverse(self, y: Tensor, *, at: Tensor) -> tuple[Tensor, Tensor]:
        """The `x` that is mapped to `y`, and the log-determinant of the forward map there.

        First derivatives in `y` are exact; higher ones are not.

        Args:
            y: `(draws, ..., m + A)`.
            at: The same `x`, known from the way forward.
        """
        model, rest = self._split(y)
        with torch.no_grad():
            middle = _product(self.upper, _product(self.lower, at)) + self.bias
            root = self._split(middle)[0]
        bent = root - (self._bend(root) - model) / self._slope(root)
        log_det = self.log_diagonal + self._slope(bent).log().sum(-1)
        middle = torch.cat([bent, rest], dim=-1) - self.bias
        x = torch.linalg.solve_triangular(self.upper, middle.unsqueeze(-1), upper=True)
        x = torch.linalg.solve_triangular(self.lower, x, upper=False, unitriangular=True)
        return x.squeeze(-1), log_det

    def unbend(self, y: Tensor) -> Tensor:
        """What the last layer maps to `y`, model's dimensions only, by Newton's method.

        The layer is increasing and convex, and lies above `y` at `max(y, 0)`: from there the
        iteration falls onto the root.
        """
        x = y.clamp(min=0)
        for _ in range(NEWTON_STEPS):
            x = x - (self._bend(x) - y) / self._slope(x)
        return x

    def _split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        dim = self.gate.shape[-1]
        return y[..., :dim], y[..., dim:]

    def _bend(self, x: Tensor) -> Tensor:
        return self.gate * x + self.open_part * functional.softplus(x)

    def _slope(self, x: Tensor) -> Tensor:
        return self.gate + self.open_part * torch.sigmoid(x)


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    return (matrix @ x.unsqueeze(-1)).squeeze(-1)
