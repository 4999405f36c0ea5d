"""Settings that no run could use are refused before it starts."""

from __future__ import annotations

import pytest
import torch

import pavi
from pavi.models import gaussian_random_effects


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_is_positive_and_finite(rate):
    with pytest.raises(ValueError, match="learning_rate must be positive and finite, got"):
        pavi.Optimization(learning_rate=rate)


def test_a_fit_has_steps():
    model = gaussian_random_effects()
    data = pavi.PlateData.from_arrays({"x": torch.zeros(2, 3, 2)}, model)
    with pytest.raises(ValueError, match="steps must be positive, got 0"):
        pavi.fit(model, data, steps=0)
