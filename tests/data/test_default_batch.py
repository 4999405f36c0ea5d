"""The rows of a step when the user does not say."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from pavi.core import HierarchicalModel, Latent, Observed, Plate
from pavi.data import PlateData, default_batch
from pavi.data.chunks import Chunks


def crossing(subjects, vertices, *, effects=()):
    model = HierarchicalModel(
        [Plate("subject"), Plate("vertex"), Plate("item")],
        {
            **{f"e_{plate}": Latent(lambda: Normal(0.0, 1.0), plate) for plate in effects},
            "i": Latent(lambda: Normal(0.0, 1.0), "item"),
            "c": Latent(lambda: Normal(0.0, 1.0), ("subject", "vertex")),
            "y": Observed(lambda i: Normal(i, 1.0), "item"),
        },
    )
    sizes = {"subject": subjects, "vertex": vertices, "item": 5}
    values = {"y": torch.zeros(5)}
    return PlateData(model, sizes, {}, values, {}, {}, torch.zeros(()))


@pytest.mark.parametrize(
    ("data", "batch"),
    [
        (crossing(10, 100), {}),
        (crossing(10, 10**6), {"vertex": 20_000}),
        (crossing(10**6, 10), {"subject": 20_000}),
        # An effect of a few rows makes their plate the larger one, but a row of it does not fit.
        (crossing(10, 10**6, effects=["subject"]), {"vertex": 20_000}),
        (crossing(1000, 1000, effects=["subject"]), {"subject": 199}),
    ],
)
def test_a_batch_holds_a_limited_number_of_numbers(data, batch):
    assert default_batch(data) == batch


def test_chunks_are_of_the_plate_of_most_rows_where_two_are_as_large():
    assert Chunks(crossing(10, 10**6), draws=10).plate == "vertex"
