"""A network with one hidden layer beside a linear map."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class SkipBlock(nn.Module):
    r"""A linear map plus one hidden layer.

    .. math:: x \mapsto A x + b + \tfrac1h\, B\, \varphi(C x + d), \qquad
        \varphi(u) = u \tanh u

    What is linear in its input, as a conjugate location is in the statistics of the data, is
    learned at once and holds beyond the range of the training data; the hidden layer bends the
    rest, and keeps out of the way: its activation is even, so that its units are nearly
    uncorrelated with the linear terms beside them, and it is divided by its width `h`, so that a
    step of an optimiser that moves every weight alike, as Adam does, changes it as much as one
    linear term. (On Gaussian random effects an undivided tanh layer leaves a gap ten times as
    large after 500 steps.)

    Args:
        inputs: The length of `x`.
        outputs: The length of the result.
        hidden: The width of the hidden layer.
        zero: Start as the zero map; gradients reach `A`, `B` and `b` all the same.
    """

    def __init__(self, inputs: int, outputs: int, *, hidden: int, zero: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.inner = nn.Linear(inputs, hidden)
        self.outer = nn.Linear(hidden, outputs, bias=False)
        if zero:
            for parameter in (self.linear.weight, self.linear.bias, self.outer.weight):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map the last axis."""
        bent = self.outer(even(self.inner(x))) / self.inner.out_features
        result: Tensor = self.linear(x) + bent
        return result


def even(u: Tensor) -> Tensor:
    r"""An even activation, :math:`u \tanh u`: a parabola at zero, straight far from it."""
    return u * u.tanh()
