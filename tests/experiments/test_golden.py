"""Golden losses, see `golden.py`."""

from __future__ import annotations

import json

import pytest
from golden import CONFIGS, FILE, STEPS, losses

GOLDEN = json.loads(FILE.read_text())


def test_every_debug_config_is_golden():
    assert sorted(GOLDEN) == [path.stem for path in CONFIGS]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_first_losses_are_golden(path):
    found = losses(path)
    assert len(found) == STEPS
    # Another machine may sum in another order; in float64 that stays far below 1e-6.
    assert found == pytest.approx(GOLDEN[path.stem], rel=1e-6)
