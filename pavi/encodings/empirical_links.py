r"""Means of counts and of yes-or-no answers, on the scale where effects add.

With a logarithmic or logistic link what a group's data say of its effects is, up to the order of
one over the number of events, a normal measurement at

.. math:: \log \frac{s + 1/2}{n} \qquad \text{or} \qquad \log \frac{s + 1/2}{n - s + 1/2}

for a sum `s` over `n` observations, of precision `s` or :math:`s (n - s) / n`, which is log-linear
in `s` and `n`. One Newton step from zero makes of them a measurement of the slope on a covariate
`x` as well, with its precision, of which the logarithm is taken:

.. math:: \frac{\sum_i (x_i - \bar x)\, y_i}{\lambda}, \quad
    \lambda = v \sum_i (x_i - \bar x)^2 + \tfrac12, \qquad
    v = \frac{s + 1/2}{n} \quad \text{or} \quad p (1 - p),\ p = \frac{s + 1/2}{n + 1}.

The half keeps it near zero where there is next to no information. So with these beside the means
an encoder finds by its linear path what it would otherwise have to bend out of means that range
over orders of magnitude.

Reference:
    Haldane (1956), The estimation and significance of the logarithm of a ratio of frequencies;
    Cox and Snell (1989), Analysis of binary data, section 2.1, for the halves.
"""

from __future__ import annotations

from math import prod
from typing import final

import torch
from torch import Tensor, nn
from torch.distributions import constraints

from pavi.core import HierarchicalModel, PlateBatch
from pavi.core.alignment import Alignment
from pavi.encodings.frames import Frame
from pavi.encodings.groups import EMPTY, Groups

HALF = 0.5


@final
class EmpiricalLinks(nn.Module):
    """The empirical logarithm or logit of each group's mean, with slopes, of sites that have one.

    These are the observed sites of a frame whose values are counts, or zero and one.

    Args:
        model: The template.
        frame: Of the rows that groups hold.

    Attributes:
        size: How many numbers a group has.
    """

    def __init__(self, model: HierarchicalModel, frame: Frame) -> None:
        super().__init__()
        self._plates = frame.plates
        supports = {name: _entrywise(model.supports[name]) for name in frame.observed}
        self._is_count = {
            name: support is constraints.nonnegative_integer
            for name, support in supports.items()
            if support in (constraints.nonnegative_integer, constraints.boolean)
        }
        self._alignments = {
            name: Alignment.between(
                model.plates, model.sites[name].plates, frame.plates, source_rank=1, target_rank=1
            )
            for name in self._is_count
        }
        covariates = sum(prod(model.sites[name].event_shape) for name in frame.covariates)
        entries = sum(prod(model.sites[name].event_shape) for name in self._is_count)
        self.size = entries * (1 + 2 * covariates)

    def forward(self, batch: PlateBatch, groups: Groups, covariates: Tensor) -> Tensor:
        """The numbers of every group, `(*coarser plates, size)`.

        Args:
            batch: The values.
            groups: The rows of the frame by those above.
            covariates: Of every row, standardised, `(*finer plates, covariates)`.
        """
        parts = [groups.counts[..., :0]]
        for name, is_count in self._is_count.items():
            value = batch.values[name].to(batch.like)
            value = value.reshape(*value.shape[: len(self._plates)], -1)
            held = torch.ones_like(value[..., :1])
            if name in batch.present:
                held = batch.present[name].to(value).unsqueeze(-1)
            rows = torch.cat([torch.where(held > 0, value, 0.0), held], dim=-1)
            rows = self._alignments[name](rows.unsqueeze(0), batch).squeeze(0)
            value, held = rows[..., :-1], rows[..., -1:]
            x = covariates * held
            products = (value.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2)
            sizes = [value.shape[-1], 1, x.shape[-1], x.shape[-1], products.shape[-1]]
            total = groups.mean(torch.cat([value, held, x, x.square(), products], dim=-1))
            sums = (total * groups.counts).split(sizes, dim=-1)
            events, number, sum_x, squares, products = sums
            some = number.clamp(min=EMPTY)
            if is_count:
                parts.append((events + HALF).log() - some.log())
                information = (events + HALF) / some
            else:
                parts.append((events + HALF).log() - (number - events + HALF).log())
                share = (events + HALF) / (number + 1)
                information = share * (1 - share)
            apart = (squares - sum_x.square() / some).clamp(min=0.0).unsqueeze(-2)
            score = products.unflatten(-1, (sizes[0], sizes[2]))
            score = score - (events / some).unsqueeze(-1) * sum_x.unsqueeze(-2)
            precision = information.unsqueeze(-1) * apart + HALF
            parts += [(score / precision).flatten(-2), precision.log().flatten(-2)]
        return torch.cat(parts, dim=-1)


def _entrywise(support: constraints.Constraint) -> constraints.Constraint:
    """The support of one entry of an event."""
    while isinstance(support, constraints.independent):
        support = support.base_constraint
    return support
