r"""Adam that treats encoding tables row by row.

A row that is not in the batch neither moves nor costs. (Dense Adam moves it by its old momentum.)
What it was told last time is stale when it is drawn again, since the shared weights moved on in
the :math:`s` steps from its last update to this one. Two things follow. Momentum is forgotten by
steps, not by updates,

.. math:: a = \beta_1^s, \quad m \leftarrow a\,m + (1 - a)\,g, \quad
    c \leftarrow a\,c + (1 - a),

where `c` corrects the bias, whatever the steps were. And a row that moves once where a weight
moves :math:`s` times is to go as far: its rate is that of as many steps, up to five, beyond
which single steps would be as wide as what they look for. With the second moment `v` and the count
`t` of a row's own updates,

.. math:: v \leftarrow \beta_2 v + (1 - \beta_2) g^2, \qquad
    \theta \leftarrow \theta - \mathrm{lr}\,\min(s, 5)\,
    \frac{m / c}{\sqrt{v / (1 - \beta_2^t)} + \varepsilon}.

For :math:`s = 1` this is Adam. All of it is a row's own, so that rows do the same wherever they
are, on one rank or on many. On Gaussian random effects with two groups of 100 a step, the gap
after 880 steps is 22 nats per latent with momentum by updates and one rate for all, and 0.1 to 0.2
with these two rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

from pavi.core.zeros import lazy_zeros_like

# Of a table, `(rows, 3 + 2 * width)`: of every row `t`, the step of its last update, `c` and both
# moments. Float32 counts to 16 million.
MEMORY = "memory"
# For how many steps a row moves at most when it is drawn.
REACH = 5.0
# Parameters and their learning rate.
Group = tuple[Iterable[nn.Parameter], float]


@final
class RowAdam(Optimizer):
    """Adam for shared weights, and for tables an Adam per row that only drawn rows pay for.

    A table whose gradient is dense, as when every row is in the batch, follows the same rule.

    Args:
        weights: Shared weights, in groups with a learning rate each.
        tables: Parameters with one row per ground variable, `(rows, width)`, likewise.
        betas: The decay of the two moments. The second forgets as fast as the first: while a fit
            travels from the prior to the posterior its gradients shrink by orders of magnitude,
            and a row that is updated a hundred times cannot wait a hundred updates for the old
            ones to be forgotten.
        eps: Added to the denominator.

    Raises:
        ValueError: If a learning rate is not positive.

    Reference:
        Kingma and Ba (2015), Adam.
    """

    def __init__(
        self,
        weights: Iterable[Group],
        tables: Iterable[Group] = (),
        *,
        betas: tuple[float, float] = (0.9, 0.9),
        eps: float = 1e-8,
    ) -> None:
        groups: list[dict[str, Any]] = []
        for given, rows in ((weights, False), (tables, True)):
            for parameters, rate in given:
                if rate <= 0:
                    raise ValueError(f"a learning rate must be positive, got {rate}.")
                if listed := list(parameters):
                    groups.append({"params": listed, "lr": rate, "rows": rows, "steps": 0})
        super().__init__(groups, {"betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if group["lr"] == 0:  # neither moves nor remembers
                continue
            active = [p for p in group["params"] if p.grad is not None]
            if group["rows"]:
                group["steps"] += 1
                for table in active:
                    self._update_rows(table, group)
            elif active:
                self._update_weights(active, group)
        return loss

    def _update_weights(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter] = {
                    "step": torch.zeros(()),
                    "exp_avg": torch.zeros_like(parameter),
                    "exp_avg_sq": torch.zeros_like(parameter),
                }
        states = [self.state[parameter] for parameter in parameters]
        beta1, beta2 = group["betas"]
        adam(
            parameters,
            [p.grad for p in parameters if p.grad is not None],
            [state["exp_avg"] for state in states],
            [state["exp_avg_sq"] for state in states],
            [],
            [state["step"] for state in states],
            foreach=True,
            amsgrad=False,
            beta1=beta1,
            beta2=beta2,
            lr=group["lr"],
            weight_decay=0.0,
            eps=group["eps"],
            maximize=False,
        )

    def _update_rows(self, table: Tensor, group: dict[str, Any]) -> None:
        width = table.shape[1]
        if not self.state[table]:
            # Side by side, so that what a row remembers is in one page of memory.
            self.state[table][MEMORY] = lazy_zeros_like(table, (len(table), 3 + 2 * width))
        memory = self.state[table][MEMORY]
        beta1, beta2 = group["betas"]
        gradient = table.grad
        assert gradient is not None
        rows = None
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            rows, gradient = gradient.indices()[0], gradient.values()
        drawn = memory if rows is None else memory[rows]
        count, last, correction, m, v = drawn.split([1, 1, 1, width, width], dim=1)
        steps = group["steps"] - last
        last.fill_(group["steps"])
        count += 1
        fresh = 1 - beta1**steps
        correction.lerp_(torch.ones_like(correction), fresh)
        m.lerp_(gradient, fresh)
        v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        spread = (v / (1 - beta2**count)).sqrt_().add_(group["eps"])
        rate = group["lr"] * steps.clamp(max=REACH)
        change = m.div(spread).div_(correction).mul_(-rate)
        if rows is None:
            table.add_(change)
        else:
            table.index_add_(0, rows, change)
            memory.index_copy_(0, rows, drawn)
