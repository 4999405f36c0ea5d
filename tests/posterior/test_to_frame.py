"""A summary as a frame: one row per number, with the labels of its plates."""

from __future__ import annotations

import pytest
from posterior.narrow import narrow_posterior

from pavi.posterior.summary import LEVELS


def test_rows_have_the_labels_of_their_plates_and_of_those_above():
    posterior = narrow_posterior("ragged nest")
    frame, summary = posterior.to_frame(draws=20), posterior.summary(draws=20)
    assert list(frame) == ["site", "lea", "school", "index", "mean", "sd", "5%", "50%", "95%"]
    assert frame["site"].tolist() == ["mu", "tau"] + ["a"] * 3 + ["b"] * 5
    schools = frame[frame["site"] == "b"]
    assert list(zip(schools["lea"], schools["school"], strict=True)) == [
        ("C", 1), ("A", 1), ("B", 1), ("C", 2), ("B", 2)
    ]  # fmt: skip
    assert frame.loc[0, ["lea", "school", "index"]].isna().all()
    assert schools["mean"].tolist() == summary.mean["b"].tolist()
    assert schools["sd"].tolist() == summary.sd["b"].tolist()
    for number, level in enumerate(LEVELS):
        assert schools[f"{100 * level:g}%"].tolist() == summary.quantiles["b"][number].tolist()


def test_vectors_have_an_index():
    posterior = narrow_posterior("dense crossing")
    frame = posterior.to_frame("c", "k", draws=20, levels=(0.5,))
    assert list(frame) == ["site", "subject", "vertex", "index", "mean", "sd", "50%"]
    cells = frame[frame["site"] == "c"]
    assert len(cells) == 2 * 5 * 2
    assert cells["subject"].tolist() == ["s"] * 10 + ["t"] * 10
    assert cells["vertex"].tolist()[:4] == [0, 0, 1, 1]
    assert cells["index"].tolist()[:4] == [0, 1, 0, 1]
    assert frame["vertex"].dtype.kind == "i"
    assert posterior.to_frame("mu", draws=20)["index"].tolist() == [0, 1]


def test_questions_are_checked_as_those_of_a_summary():
    posterior = narrow_posterior("sparse crossing")
    with pytest.raises(ValueError, match="'w' is not a latent site"):
        posterior.to_frame("w")
    with pytest.raises(ValueError, match="levels must lie between 0 and 1"):
        posterior.to_frame(levels=(5.0,))
    with pytest.raises(ValueError, match="at least 2, got 1"):
        posterior.to_frame(draws=1)
