"""A network with one hidden layer beside a linear map."""

from __future__ import annotations

from typing import final

from torch import Tensor, nn


@final
class SkipBlock(nn.Module):
    r"""A linear map plus one hidden layer.

    .. math:: x \mapsto A x + b + \tfrac1h\, B \tanh(C x + d)

    What is linear in its input, as a conjugate location is in the statistics of the data, is
    learned at once and holds beyond the range of the training data; the hidden layer bends the
    rest. It is divided by its width `h`, so that a step of an optimiser that moves every weight
    alike, as Adam does, changes it as much as one linear term: undivided, the jitter of the hidden
    weights outweighs the linear map (on Gaussian random effects the gap after 500 steps was ten
    times as large).

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
        bent = self.outer(self.inner(x).tanh()) / self.inner.out_features
        result: Tensor = self.linear(x) + bent
        return result
