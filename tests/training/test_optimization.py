"""Schedules, when tables wait, which parameter has which rate, and an Adam per row."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import embedding
from torch.testing import assert_close

import pavi
from pavi.models import gaussian_random_effects
from pavi.training import Optimization, RowAdam


def guide_of(encodings, **choices):
    return pavi.PlateAmortizedGuide(
        gaussian_random_effects(), {"group": 5, "obs": 3}, encodings=encodings, **choices
    )


def rates(optimization, steps, *, tables_from=0.0):
    """The rates of a weight and a table, in every step of a run and after it."""
    weight, table = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3, 1))
    optimizer = RowAdam([([weight], 0.1)], [([table], 0.5)])
    scheduler = optimization.scheduler(optimizer, steps, tables_from=tables_from)
    found = []
    for _ in range(steps + 1):
        found.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return torch.tensor(found, dtype=torch.float64).unbind(1)


def test_a_cosine_goes_down_to_zero():
    weights, tables = rates(Optimization(), 20)
    assert_close(tables, 5 * weights)
    assert float(weights[0]) == 0.1
    assert float(weights[10]) == pytest.approx(0.05)
    # The last step is taken a twentieth before the end, where the cosine is nearly flat.
    assert float(weights[19]) == pytest.approx(0.1 * 0.0061558, rel=1e-4)
    assert float(weights[20]) == 0.0
    assert (weights.diff() < 0).all()


def test_a_constant_schedule_is_constant():
    weights, tables = rates(Optimization(schedule="constant"), 20)
    assert set(weights.tolist()) == {0.1}
    assert set(tables.tolist()) == {0.5}


@pytest.mark.parametrize("schedule", ["cosine", "constant"])
def test_tables_wait_for_their_part_of_the_run(schedule):
    optimization = Optimization(schedule=schedule)
    weights, tables = rates(optimization, 20, tables_from=0.4)
    assert not tables[:8].any()
    assert_close(tables[8:], 5 * weights[8:])
    assert (weights[:20] > 0).all()


def test_a_table_that_waits_neither_moves_nor_remembers():
    weight, table = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(4, 1))
    optimizer = RowAdam([([weight], 0.1)], [([table], 0.1)])
    scheduler = Optimization().scheduler(optimizer, 10, tables_from=0.5)
    for step in range(7):
        optimizer.zero_grad()
        rows = embedding(torch.tensor([2, 0]), table, sparse=True)
        (weight.sum() + rows.square().sum()).backward()
        optimizer.step()
        scheduler.step()
        assert torch.equal(table, torch.ones(4, 1)) == (step < 5)
        assert (table in optimizer.state) == (step >= 5)
    assert optimizer.state[table]["memory"][:, 0].tolist() == [2, 0, 2, 0]
    assert float(optimizer.state[weight]["step"]) == 7


@pytest.mark.parametrize(
    "encodings",
    [pavi.FreeEncodings(), pavi.DeepSetEncodings(), pavi.HybridEncodings()],
    ids=lambda spec: type(spec).__name__,
)
def test_every_parameter_is_in_exactly_one_group(encodings):
    guide = guide_of(encodings)
    groups = Optimization().optimizer(guide).param_groups
    listed = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in guide.parameters())
    rows = [id(parameter) for group in groups if group["rows"] for parameter in group["params"]]
    assert rows == [id(table) for table in guide.tables()]


@pytest.mark.parametrize(
    ("optimization", "expected"),
    [
        (Optimization(learning_rate=0.06), (0.06, 0.01, 0.06)),
        (Optimization(table_rate=0.5, network_rate=0.2), (0.03, 0.2, 0.5)),
    ],
)
def test_weights_networks_and_tables_have_rates_of_their_own(optimization, expected):
    guide = guide_of(pavi.HybridEncodings())
    groups = optimization.optimizer(guide).param_groups
    found = {id(p): group["lr"] for group in groups for p in group["params"]}
    parts = (list(guide.flows.parameters()), guide.networks(), guide.tables())
    for parameters, rate in zip(parts, expected, strict=True):
        assert [found[id(p)] for p in parameters] == pytest.approx([rate] * len(parameters))


def test_what_bends_a_flow_has_the_rate_of_the_networks():
    guide = guide_of(pavi.FreeEncodings(4), flow=pavi.MAFFlow())
    groups = Optimization(learning_rate=0.06).optimizer(guide).param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    flow = guide.flows["mu"]
    assert [rates[id(p)] for p in flow.bend.parameters()] == pytest.approx([0.01] * 12)
    assert [rates[id(p)] for p in flow.affine.parameters()] == [0.06] * 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"clip_norm": 0.0}, "clip_norm must be positive and finite, got 0.0"),
        ({"clip_spikes": float("nan")}, "clip_spikes must be positive and finite, got nan"),
        ({"schedule": "linear"}, r"must be one of \['cosine', 'constant'\], got 'linear'"),
    ],
)
def test_settings_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        Optimization(**settings)


def test_rows_that_are_always_drawn_are_updated_as_by_an_adam_of_their_own():
    table = nn.Parameter(torch.randn(4, 2))
    own = [nn.Parameter(row.clone()) for row in table.detach()]
    adams = [torch.optim.Adam([row], lr=0.1, betas=(0.9, 0.9)) for row in own]
    row_wise = RowAdam([], [([table], 0.1)])
    # In any order and twice.
    for step, rows in enumerate([[0, 1, 2, 3], [3, 2, 0, 1, 0], [1, 1, 1, 0, 2, 3]]):
        weight = torch.randn(len(rows), 2) * 10.0**-step
        row_wise.zero_grad()
        (weight * embedding(torch.tensor(rows), table, sparse=True)).sum().backward()
        assert table.grad.is_sparse
        row_wise.step()
        for row in set(rows):
            own[row].grad = weight[[at == row for at in rows]].sum(0)
            adams[row].step()
        assert_close(table, torch.stack(list(own)))
