"""Questions that a posterior cannot answer, and what it says instead."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from posterior.narrow import narrow_posterior
from torch.distributions import Normal

import pavi
from pavi import HierarchicalModel, Latent, Observed, Plate


@pytest.fixture(scope="module")
def posterior():
    model = HierarchicalModel(
        [Plate("patient")],
        {
            "v": Latent(lambda: Normal(0.0, 1.0), "patient"),
            "y": Observed(lambda v: Normal(v, 1.0), "patient"),
        },
    )
    labels = {"patient": ["P7", "P9"]}
    data = pavi.PlateData.from_arrays({"y": torch.zeros(2)}, model, labels=labels)
    return pavi.fit(model, data, steps=1, progress=False)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.summary("w"), r"'w' is not a latent site; these are \['v'\]"),
        (lambda p: p.summary("y"), r"'y' is not a latent site"),
        (lambda p: p.summary(levels=(0.5, 95.0)), r"levels must lie between 0 and 1, .*got 95.0"),
        (lambda p: p.summary(levels=(float("nan"),)), r"levels must lie between 0 and 1, .*got nan"),
        (lambda p: p.summary(draws=1), r"draws must be an integer of at least 2, got 1"),
        (lambda p: p.sample(draws=0), r"draws must be an integer of at least 1, got 0"),
        (lambda p: p.sample("v", patient=[0], draws=-1), r"draws must be .* got -1"),
        (lambda p: p.elbo(draws=0), r"draws must be an integer of at least 1, got 0"),
        (lambda p: p.sample("v", patient=np.array(["P7"])),
         r"from 0 to 1; got array.*posterior.labels\['patient'\] has the label of every row"),
        (lambda p: p.sample("v", patient=[2]), r"rows 0 to 1, got 2. posterior.labels\['pat"),
    ],
)  # fmt: skip
def test_a_question_without_an_answer(posterior, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(posterior)


def test_rows_may_be_an_array(posterior):
    assert posterior.sample("v", draws=3, patient=np.array([1])).shape == (3, 1)


def test_a_posterior_is_shown_in_two_lines(posterior):
    expected = "Posterior(v\n  of PlateData(plates: patient 2; values: y))"
    assert repr(posterior) == expected


def test_labels_are_those_of_the_rows_of_draws(posterior):
    assert posterior.labels["patient"].tolist() == ["P7", "P9"]
    chosen = list(posterior.labels["patient"]).index("P9")
    draws = posterior.sample("v", draws=5)
    alone = posterior.to_frame("v", draws=200).set_index("patient")["mean"]
    assert alone.index.tolist() == posterior.labels["patient"].tolist()
    assert float(alone["P9"]) == float(posterior.summary("v", draws=200).mean["v"][chosen])
    assert draws.shape[1] == len(posterior.labels["patient"])


def test_labels_of_a_plate_that_is_not_there_name_those_that_are():
    nested = narrow_posterior("ragged nest")
    with pytest.raises(KeyError, match=r"no plate 'nope'; the plates are \['lea', 'school', 'p"):
        nested.labels["nope"]
    assert "nope" not in nested.labels


def test_labels_are_shown_by_their_ends():
    nested = narrow_posterior("ragged nest")
    lines = repr(nested.labels).splitlines()
    assert lines[:3] == [
        "RowLabels(",
        "  lea: 3 rows, 'A', 'B', 'C'",
        "  school: 5 rows, 'C/1', 'A/1', ..., 'B/2'",
    ]
    assert len(lines) == 2 + len(nested.labels)


def test_labels_are_the_coordinates_of_the_export_for_every_plate():
    nested = narrow_posterior("ragged nest")
    found = nested.to_arviz(draws=5, groups=("posterior",))["posterior"].coords
    assert set(nested.labels) == set(nested.model.plates)
    for plate in ("lea", "school"):
        names = nested.labels[plate].tolist()
        assert found[plate].values.tolist() == names
        assert len(set(names)) == nested.data.cardinalities[plate]
    # Labels that repeat in other parents are told apart.
    assert nested.labels["school"].tolist() != list(nested.data.labels["school"])
