"""A posterior on disk: what it holds, where it is put, and what is damaged."""

from __future__ import annotations

import json
import os
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from core.designs import sparse_crossing
from safetensors import SafetensorError
from torch.distributions import Normal

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate
from pavi.files import DiskFullError
from pavi.posterior import storage

LABELS = {
    "numpy": [np.int64(7), np.int64(3)],
    "array": np.array(["a", "b"]),
    "dates": [date(2024, 1, 31), date(2024, 2, 29)],
    "times": np.array(["2024-01-31T10:30", "2024-02-29T11:00"], dtype="datetime64[ns]"),
    "decimals": [Decimal("1.50"), Decimal("2")],
    "tuples": [("a", np.float64(1.5)), ("a", date(2024, 1, 1))],
}


def one_plate():
    return HierarchicalModel(
        [Plate("g")],
        {"m": Latent(lambda: Normal(0.0, 1.0), "g"), "y": Observed(lambda m: Normal(m, 1.0), "g")},
    )


def fitted(labels=None):
    model = one_plate()
    data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model, labels=labels)
    return pavi.fit(model, data, steps=1, progress=False)


@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_come_back_as_they_were(labels, tmp_path):
    posterior = fitted({"g": labels})
    posterior.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", posterior.model)
    assert loaded.data.labels["g"] == list(posterior.data.labels["g"])
    # Which is how groups are recognised.
    assert loaded.data.rows_in(posterior.data)["g"].tolist() == [0, 1]


def test_dates_of_a_frame_are_dates():
    frame = pd.DataFrame({"g": pd.to_datetime(["2024-02-29", "2024-01-31"]), "y": [0.0, 1.0]})
    data = pavi.PlateData.from_frame(frame, one_plate())
    assert data.labels["g"] == [datetime(2024, 1, 31), datetime(2024, 2, 29)]


def test_a_label_that_cannot_be_saved_is_named_before_the_fit():
    with pytest.raises(ValueError, match=r"plate 'g': 1j is a complex, which .* with str\(\)"):
        fitted({"g": ["a", 1j]})


def test_links_may_share_memory(tmp_path):
    model = sparse_crossing()
    both = torch.tensor([[0, 1], [1, 0]])
    links = {"rating": {"student": both[:, 0], "lecturer": both[:, 1]}}
    data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model, links=links)
    pavi.fit(model, data, steps=1, progress=False).save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", model)
    assert loaded.data.links["rating"]["lecturer"].tolist() == [1, 0]


def test_a_folder_has_the_rights_of_the_umask_and_nothing_stays_beside_it(tmp_path):
    before = os.umask(0o027)
    try:
        for _ in range(2):
            fitted().save(tmp_path / "new" / "fit")
    finally:
        os.umask(before)
    assert (tmp_path / "new" / "fit").stat().st_mode & 0o777 == 0o750
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["fit"]


def test_a_save_on_a_full_disk_leaves_the_old_posterior(tmp_path, monkeypatch):
    posterior, path = fitted(), tmp_path / "fit"
    posterior.save(path)

    def full(tensors, target):
        Path(target).write_bytes(b"half")
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(storage, "save_file", full)
    with pytest.raises(DiskFullError, match=r"fit could not be written; it takes \d+ bytes"):
        posterior.save(path)
    assert pavi.Posterior.load(path, posterior.model).data.cardinalities == {"g": 2}
    assert [found.name for found in tmp_path.iterdir()] == ["fit"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda card: {}, r"cannot be read; its posterior.json is damaged: it lacks \['format', "),
        (lambda card: [card], r"is damaged: it lacks \['format', "),
        (lambda card: {**card, "format": 99}, r"has format 99; this version reads 5"),
        (lambda card: {**card, "guide": {}}, r"is damaged: KeyError\('kind'\)"),
        (lambda card: {**card, "model": {}}, r"is damaged: KeyError\('plates'\)"),
    ],
)
def test_a_damaged_card_is_told(change, message, tmp_path):
    posterior, card = fitted(), tmp_path / "fit" / "posterior.json"
    posterior.save(tmp_path / "fit")
    card.write_text(json.dumps(change(json.loads(card.read_text()))))
    with pytest.raises(ValueError, match=message):
        pavi.Posterior.load(tmp_path / "fit", posterior.model)


def test_one_altered_byte_is_noticed(tmp_path):
    posterior = fitted()
    posterior.save(tmp_path / "fit")
    weights = tmp_path / "fit" / storage.WEIGHTS
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1
    weights.write_bytes(held)
    with pytest.raises(ValueError, match=r"weights.safetensors is not what was written"):
        pavi.Posterior.load(tmp_path / "fit", posterior.model)


def test_a_model_with_another_prior_is_refused(tmp_path):
    fitted().save(tmp_path / "fit")
    wide = HierarchicalModel(
        [Plate("g")],
        {"m": Latent(lambda: Normal(0.0, 5.0), "g"), "y": Observed(lambda m: Normal(m, 1.0), "g")},
    )
    with pytest.raises(ValueError, match=r"the spread of draws from the prior of 'm' is .* in it"):
        pavi.Posterior.load(tmp_path / "fit", wide)
