"""Where sites start, and the starts that do not fit."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import HalfNormal, Normal
from torch.testing import assert_close

import pavi
from pavi import KMeans, Latent, Observed, Plate

MEANS = [-4.0, 0.5, 6.0]


def model_with(**inits):
    """The centres have no data below them: what they start at stays visible."""
    return pavi.HierarchicalModel(
        [Plate("component"), Plate("row")],
        {
            "width": Latent(lambda: HalfNormal(2.0), init=inits.get("width")),
            "centre": Latent(lambda: Normal(1.0, 5.0), "component", init=inits.get("centre")),
            "shift": Latent(lambda: Normal(0.0, 1.0)),
            "x": Observed(lambda shift: Normal(shift, 3.0), "row"),
        },
    )


def data_of(model):
    torch.manual_seed(0)
    x = torch.cat([mean + 0.3 * torch.randn(40) for mean in MEANS])
    sizes = {"component": 3, "row": 120}
    return pavi.PlateData(
        model=model,
        cardinalities=sizes,
        links={},
        values={"x": x},
        present={},
        labels={},
        like=torch.zeros(()),
    )


def started(encodings=None, **inits):
    model = model_with(**inits)
    data = data_of(model)
    guide = pavi.PlateAmortizedGuide(model, data.cardinalities, encodings=encodings)
    guide.initialise(data.batch())
    return guide(data.batch(seed=0), draws=2000).values


def test_a_number_and_an_array_are_the_medians_of_the_start():
    values = started(width=0.25, centre=[1.0, 2.0, 3.0])
    assert_close(values["width"].median(), torch.tensor(0.25), rtol=0.15, atol=0)
    assert_close(values["centre"].mean(0), torch.tensor([1.0, 2.0, 3.0]), rtol=0, atol=0.5)
    assert_close(values["shift"].mean(), torch.tensor(0.0), rtol=0, atol=0.1)


@pytest.mark.parametrize("encodings", [pavi.FreeEncodings(), pavi.HybridEncodings()])
def test_clusters_of_the_data_are_found(encodings):
    values = started(encodings, centre=KMeans("x"))
    assert_close(values["centre"].mean(0).sort().values, torch.tensor(MEANS), rtol=0, atol=0.5)


@pytest.mark.parametrize(
    ("inits", "message"),
    [
        (
            {"centre": [1.0, 2.0]},
            r"init of site 'centre' has shape \(2,\), which does not .*\(3,\)",
        ),
        ({"width": -1.0}, "init of site 'width' lies outside the support"),
        (
            {"centre": KMeans("y")},
            r"init of site 'centre': 'y' is not measured; these are \['x'\]",
        ),
        ({"width": KMeans("x")}, "init of site 'width': KMeans needs a site on one plate"),
    ],
)
def test_a_start_that_does_not_fit_is_named(inits, message):
    with pytest.raises(ValueError, match=message):
        started(**inits)


def test_computed_encodings_have_no_start():
    model = pavi.HierarchicalModel(
        [Plate("row")],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "row", init=2.0),
            "y": Observed(lambda a: Normal(a, 1.0), "row"),
        },
    )
    data = pavi.PlateData.from_arrays({"y": torch.zeros(3)}, model)
    with pytest.raises(ValueError, match="init of site 'a': its encodings are computed from data"):
        pavi.fit(model, data, encodings=pavi.DeepSetEncodings(), steps=1, progress=False)


def test_a_start_needs_an_encoding_as_long():
    model = pavi.HierarchicalModel(
        [Plate("row")],
        {
            "a": Latent(lambda: Normal(torch.zeros(2), 1.0), event_shape=(2,), init=1.0),
            "y": Observed(lambda a: Normal(a.sum(-1), 1.0), "row"),
        },
    )
    guide = pavi.PlateAmortizedGuide(model, {"row": 3}, encodings=pavi.FreeEncodings(1))
    data = pavi.PlateData.from_arrays({"y": torch.zeros(3)}, model)
    with pytest.raises(ValueError, match="a start of 2 numbers needs encodings as long"):
        guide.initialise(data.batch())
