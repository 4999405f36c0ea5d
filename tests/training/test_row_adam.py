"""Row-wise Adam against torch's Adam, and rows that are not in the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from pavi.core.zeros import lazy_zeros_like
from pavi.training import RowAdam, row_adam


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
    assert optimizer.state[table]["memory"][:, 0].tolist() == [1, 2, 0, 1, 0]


def test_sparse_and_dense_gradients_of_the_same_rows_do_the_same():
    sparse, dense = (nn.Parameter(torch.linspace(-1, 1, 8).view(4, 2)) for _ in range(2))
    optimizers = [RowAdam([], [([table], 0.1)]) for table in (sparse, dense)]
    for _ in range(3):
        for table, optimizer in zip((sparse, dense), optimizers, strict=True):
            optimizer.zero_grad()
            rows = functional.embedding(torch.arange(4), table, sparse=table is sparse)
            rows.sin().sum().backward()
            optimizer.step()
    assert torch.equal(sparse, dense)
    assert torch.equal(
        *(o.state[t]["memory"] for o, t in zip(optimizers, (sparse, dense), strict=True))
    )


def test_momentum_is_forgotten_by_steps_and_rows_go_as_far_as_weights():
    # The row is updated in steps 2, 3 and 6.
    beta1, beta2, rate = 0.8, 0.7, 0.1
    table = nn.Parameter(torch.zeros(4, 1))
    optimizer = RowAdam([], [([table], rate)], betas=(beta1, beta2))
    value = m = c = v = 0.0
    count = last = 0
    for step, slope in enumerate([None, 1.0, -3.0, None, None, 0.5], 1):
        optimizer.zero_grad()
        drawn = functional.embedding(torch.tensor([1 if slope is None else 0]), table, sparse=True)
        ((slope or 1.0) * drawn).sum().backward()
        optimizer.step()
        if slope is None:
            continue
        count, steps, last = count + 1, step - last, step
        a = beta1**steps
        m, c = a * m + (1 - a) * slope, a * c + 1 - a
        v = beta2 * v + (1 - beta2) * slope**2
        value -= rate * steps * (m / c) / ((v / (1 - beta2**count)) ** 0.5 + 1e-8)
        assert table[0].item() == pytest.approx(value, rel=1e-5)


def test_a_row_moves_by_at_most_five_steps():
    table = nn.Parameter(torch.zeros(2, 1))
    optimizer = RowAdam([], [([table], 0.1)])
    for row in [0] * 20 + [1]:
        optimizer.zero_grad()
        functional.embedding(torch.tensor([row]), table, sparse=True).sum().backward()
        optimizer.step()
    assert table[1].item() == pytest.approx(-0.5)
    assert table[0].item() == pytest.approx(-2.0, rel=1e-3)


def test_what_a_table_remembers_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        row_adam, "lazy_zeros_like", lambda *given: made.append(1) or lazy_zeros_like(*given)
    )
    table = nn.Parameter(torch.randn(5, 2))
    optimizer = RowAdam([], [([table], 0.1)])
    for _ in range(3):
        table.grad = torch.randn(5, 2)
        optimizer.step()
    assert made == [1]


def test_a_rate_must_be_positive():
    with pytest.raises(ValueError, match="must be positive, got 0.0"):
        RowAdam([([nn.Parameter(torch.ones(1))], 0.0)])
