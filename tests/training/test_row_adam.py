"""Row-wise Adam against torch's Adam, and rows that are not in the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from pavi.training import RowAdam


def test_dense_gradients_are_those_of_adam():
    ours, theirs = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    table = nn.Parameter(torch.ones(3, 1))
    row_wise = RowAdam([([ours], 0.1)], [([table], 0.1)])
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.9, 0.9))
    for step in range(5):
        gradient = torch.randn(3) * (step + 1)
        ours.grad, theirs.grad, table.grad = gradient, gradient.clone(), gradient[:, None].clone()
        row_wise.step()
        adam.step()
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(table[:, 0], theirs)


def test_an_untouched_row_does_not_move():
    table = nn.Parameter(torch.randn(5, 2))
    before = table.detach().clone()
    optimizer = RowAdam([], [([table], 0.1)])
    for rows in ([0, 1], [1, 3]):
        optimizer.zero_grad()
        functional.embedding(torch.tensor(rows), table, sparse=True).square().sum().backward()
        optimizer.step()
    assert torch.equal(table[[2, 4]], before[[2, 4]])
    assert optimizer.state[table]["count"].flatten().tolist() == [1, 2, 0, 1, 0]


def test_a_rate_must_be_positive():
    with pytest.raises(ValueError, match="must be positive, got 0.0"):
        RowAdam([([nn.Parameter(torch.ones(1))], 0.0)])
