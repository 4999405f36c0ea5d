"""Zeros that take no memory until something is written to them."""

from __future__ import annotations

import copy
import resource
import sys
from pathlib import Path

import pytest
import torch

from pavi.core.zeros import LARGE, lazy_zeros, lazy_zeros_like

PAGE = resource.getpagesize()


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.parametrize("rows", [3, LARGE // 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_they_are_zeros_that_can_be_written(rows, dtype):
    zeros = lazy_zeros(rows, 2, dtype=dtype)
    assert zeros.shape == (rows, 2)
    assert zeros.dtype == dtype
    zeros[rows // 2] += 1
    twin = copy.deepcopy(zeros)
    zeros[0] = 5
    assert twin[rows // 2].tolist() == [1, 1]
    assert float(twin.sum()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads how much memory is taken from /proc")
def test_rows_that_are_not_touched_take_no_memory():
    before = resident()
    zeros = lazy_zeros(2**24, 16, dtype=torch.float32)
    zeros[:: 2**14] = 1  # one row in a thousand
    assert zeros.nbytes == 2**30
    assert resident() - before < 2**26


def test_they_are_as_their_parameter():
    like = torch.zeros(3, 2, dtype=torch.float64)
    assert torch.equal(lazy_zeros_like(like), like)
    assert lazy_zeros_like(like, (4, 1)).shape == (4, 1)
    assert lazy_zeros_like(torch.empty(2, device="meta")).device.type == "meta"
