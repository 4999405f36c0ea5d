"""Adam that treats encoding tables row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.adam import adam

from pavi.core.zeros import lazy_zeros_like

MEMORY = "memory"  # of a table, `(rows, 1 + 2 * width)`: count and both moments of every row
# Parameters and their learning rate.
Group = tuple[Iterable[nn.Parameter], float]


@final
class RowAdam(Optimizer):
    r"""Adam for shared weights, and for tables an Adam per row that only drawn rows pay for.

    A row that is not in the batch neither moves nor costs: its moments do not decay, and its bias
    correction counts its own updates. (Dense Adam moves such rows by their old momentum.) A table
    whose gradient is dense, as when every row is in the batch, is updated by the same rule.

    .. math::
        t_n &\leftarrow t_n + 1, \quad
        m_n \leftarrow \beta_1 m_n + (1 - \beta_1) g_n, \quad
        v_n \leftarrow \beta_2 v_n + (1 - \beta_2) g_n^2 \\
        \theta_n &\leftarrow \theta_n - \mathrm{lr}\ \frac{m_n / (1 - \beta_1^{t_n})}
            {\sqrt{v_n / (1 - \beta_2^{t_n})} + \varepsilon}

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
                    groups.append({"params": listed, "lr": rate, "rows": rows})
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
            # A row's count and moments side by side, so that they are in one page of memory.
            self.state[table][MEMORY] = lazy_zeros_like(table, (len(table), 1 + 2 * width))
        memory = self.state[table][MEMORY]
        beta1, beta2 = group["betas"]
        gradient = table.grad
        assert gradient is not None
        rows = None
        if gradient.is_sparse:
            gradient = gradient.coalesce()
            rows, gradient = gradient.indices()[0], gradient.values()
        drawn = memory if rows is None else memory[rows]
        count, m, v = drawn.split([1, width, width], dim=1)
        count += 1
        m.lerp_(gradient, 1 - beta1)
        v.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        spread = (v / (1 - beta2**count)).sqrt_().add_(group["eps"])
        change = m.div(spread).div_(1 - beta1**count).mul_(-group["lr"])
        if rows is None:
            table.add_(change)
        else:
            table.index_add_(0, rows, change)
            memory.index_copy_(0, rows, drawn)
