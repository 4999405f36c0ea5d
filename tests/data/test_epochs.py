"""Random reshuffling: the law of a batch, and of the batches of an epoch together."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
import torch
from core.designs import dense_crossing
from data.every_draw import every_draw

from pavi.data import PlateBatches, PlateData
from pavi.data import epochs as module
from pavi.data.epochs import Epochs, feistel

TOTAL, SIZE = 5, 2


def chosen(monkeypatch, rng, step):
    """The rows of a step, and those of the other step of its epoch."""
    monkeypatch.setattr(module.np.random, "default_rng", lambda key: rng)
    epochs = Epochs([0])
    steps = [epochs.at(number).choose("plate", TOTAL, SIZE)[1] for number in (step, step ^ 1)]
    return [frozenset(rows.tolist()) for rows in steps]


@pytest.mark.parametrize("step", [0, 1, 6])
def test_every_set_of_rows_is_as_likely_at_every_step(monkeypatch, step):
    found: Counter = Counter()
    for (ours, others), probability in every_draw(lambda rng: chosen(monkeypatch, rng, step)):
        assert not ours & others
        found[ours] += probability
    assert found == {frozenset(rows): Fraction(1, 10) for rows in combinations(range(TOTAL), SIZE)}


def dense():
    return PlateData.from_arrays({"y": torch.zeros(6, 1, 7, 2)}, dense_crossing())


def rows(stream, plate, steps):
    return [stream[step].rows[plate].tolist() for step in steps]


def test_a_row_comes_again_after_all_others_have():
    batches = PlateBatches(dense(), batch={"subject": 2, "vertex": 2}, seed=3)
    for epoch in range(3):
        three = range(3 * epoch, 3 * epoch + 3)
        assert sorted(sum(rows(batches, "subject", three), [])) == list(range(6))
        seen = sum(rows(batches, "vertex", three), [])
        assert len(set(seen)) == 6  # of seven: one sits the epoch out
    first, second = (rows(batches, "subject", range(3 * e, 3 * e + 3)) for e in (0, 1))
    assert first != second
    assert rows(batches, "subject", [4]) == rows(
        PlateBatches(dense(), batch={"subject": 2, "vertex": 2}, seed=3), "subject", [4]
    )


def test_runs_of_an_epoch_do_not_overlap():
    batches = PlateBatches(dense(), batch={"vertex": 2}, blocks={"vertex": 2}, seed=0)
    epochs = [sum(rows(batches, "vertex", range(3 * e, 3 * e + 3)), []) for e in range(20)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len({frozenset(range(7)) - set(epoch) for epoch in epochs}) == 7


def test_ranks_and_plates_have_epochs_of_their_own():
    sizes = {"subject": 1, "vertex": 1}
    one, two = (PlateBatches(dense(), batch=sizes, seed=0, rank=rank) for rank in (0, 1))
    assert rows(one, "subject", range(6)) != rows(two, "subject", range(6))
    assert rows(one, "subject", range(6)) != rows(one, "vertex", range(6))


def test_batches_are_independent_if_asked_for():
    batches = PlateBatches(dense(), batch={"subject": 3}, seed=0, epochs=False)
    pairs = [rows(batches, "subject", (2 * i, 2 * i + 1)) for i in range(20)]
    assert any(set(one) & set(two) for one, two in pairs)


@pytest.mark.parametrize("total", [1, 2, 3, 17, 1000, 1024, 1025])
def test_a_feistel_network_is_a_permutation(total):
    keys = np.random.default_rng(total).integers(2**64, size=8, dtype=np.uint64)
    assert sorted(feistel(np.arange(total), total, keys)) == list(range(total))


def test_many_rows_are_permuted_without_writing_the_permutation_down():
    total, size = 3 * 10**8, 3000
    epochs = Epochs([1])
    one, two = (epochs.at(step).choose("row", total, size)[1] for step in (0, 1))
    both = np.concatenate([one, two])
    assert len(set(both.tolist())) == 2 * size
    counts = np.histogram(both, bins=20, range=(0, total))[0]
    expected = 2 * size / 20
    # Chi-square with 19 degrees of freedom: 43.8 is its quantile 0.999.
    assert ((counts - expected) ** 2 / expected).sum() < 43.8
    # Of neighbouring places one is as often below the other as above: 6000 flips of a coin.
    assert abs((np.diff(both) > 0).mean() - 0.5) < 0.02
