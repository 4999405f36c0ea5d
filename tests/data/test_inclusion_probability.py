"""The inclusion probability of what a draw reaches upward, in exact fractions."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from numpy.testing import assert_allclose

from pavi.data import sampler
from pavi.data.sampler import inclusion_probability


def exact(degree, total, size):
    return float(1 - Fraction(comb(total - degree, size), comb(total, size)))


@pytest.mark.parametrize("block", [3, 2**20])
@pytest.mark.parametrize(("total", "size"), [(1, 1), (7, 3), (40, 1), (40, 39), (300, 20)])
def test_it_is_that_of_a_hypergeometric_draw(total, size, block, monkeypatch):
    monkeypatch.setattr(sampler, "BLOCK", block)
    degrees = np.arange(total + 1)[::-1]
    found = inclusion_probability(degrees, total=total, size=size)
    assert_allclose(found, [exact(k, total, size) for k in degrees], rtol=1e-13)


@pytest.mark.parametrize("total", [10**8, 10**9])
def test_no_digits_are_lost_in_large_plates(total):
    degrees = np.array([1, 3, 20, 1000])
    found = inclusion_probability(degrees, total=total, size=20)
    assert_allclose(found[0], 20 / total, rtol=1e-14)
    assert_allclose(found, [exact(int(k), total, 20) for k in degrees], rtol=1e-12)


def test_what_is_certain_ends_the_sum():
    """A degree of half a billion would be half a billion terms."""
    found = inclusion_probability(np.array([1, 5 * 10**8]), total=10**9, size=1000)
    assert_allclose(found, [1e-6, 1.0], rtol=1e-14)
