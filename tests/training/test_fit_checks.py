"""Arguments of `pavi.fit` that do not fit, and what is said of them.

The checks are called by themselves: in the tests, and only there, types are checked before.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import LogNormal, MultivariateNormal, Normal

import pavi
from pavi.fit_checks import check_choices, check_model_and_data, check_numbers
from pavi.models import gaussian_random_effects

MODEL = gaussian_random_effects()
DATA = pavi.PlateData.from_arrays({"x": torch.zeros(2, 3, 2)}, MODEL)
OTHER = gaussian_random_effects(dim=3)
GUIDE = pavi.PlateAmortizedGuide(MODEL, DATA.cardinalities)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (DATA, MODEL, r"model and data have changed places: it is fit\(model, data\)"),
        ("gre", DATA, r"model must be a HierarchicalModel, got 'gre'"),
        (MODEL, pd.DataFrame(), r"must be a PlateData, got a DataFrame; make one with PlateData.fr"),
        (OTHER, DATA, r"the data were read for another model: site 'mu' is .* in the model"),
        (MODEL, DATA.__class__(MODEL, {"group": 2, "obs": 3}, {}, {}, {}, {}, torch.zeros(())),
         r"the data hold no values of \['x'\], which the model measures; they hold \[\]"),
    ],
)  # fmt: skip
def test_what_is_no_model_or_its_data(model, data, message):
    with pytest.raises(ValueError, match=message):
        check_model_and_data(model, data)


def test_constants_of_another_type_than_the_data_are_named():
    weights = torch.ones(2)
    model = pavi.HierarchicalModel(
        [pavi.Plate("g")],
        {
            "s": pavi.Latent(lambda: LogNormal(torch.zeros(2), 1.0), event_shape=(2,)),
            "b": pavi.Latent(
                lambda s: MultivariateNormal(torch.zeros(2), scale_tril=torch.diag_embed(s)),
                plates="g",
                event_shape=(2,),
            ),
            "y": pavi.Observed(lambda b: Normal(b @ weights, 1.0), plates="g"),
        },
    )
    single, double = (
        pavi.PlateData.from_arrays({"y": torch.zeros(3)}, model, dtype=dtype)
        for dtype in (torch.float32, torch.float64)
    )
    pavi.fit(model, single, steps=1, progress=False)
    with pytest.raises(ValueError, match=r"site 'y': .* of torch.float64, .* dtype=torch.float32"):
        pavi.fit(model, double, steps=1, progress=False)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"flow": "maf"}, r"flow must be of the kind Flow, such as AffineFlow\(\); got 'maf'"),
        ({"flow": pavi.MAFFlow}, r"flow must be .* got the class MAFFlow, which lacks its \(\)"),
        ({"flows": pavi.MAFFlow()}, r"flows must be a mapping from sites to flows, got a MAFFlow"),
        ({"flows": {"mu": 3}}, r"flows\['mu'\] must be of the kind Flow, .* got 3"),
        ({"encodings": 8}, r"encodings must be of the kind Encodings, such as Free.* got 8"),
        ({"objective": 8}, r"objective must be of the kind ReducedELBO, such as ReducedELBO\(\); got 8"),
        ({"guide": torch.nn.Linear(1, 1)}, r"guide must be of the kind Guide, .* got a Linear"),
        ({"guide": GUIDE, "flow": pavi.MAFFlow(), "dependence": "parents"},
         r"guide is given together with \['flow', 'dependence'\], which a ready guide has"),
        ({"guide": pavi.PlateAmortizedGuide(OTHER, DATA.cardinalities)},
         r"guide belongs to another model: site 'mu' is"),
    ],
)  # fmt: skip
def test_choices_that_do_not_fit(choices, message):
    with pytest.raises(ValueError, match=message):
        check_choices(MODEL, **{"dependence": "faithful", **choices})


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"batch": 20}, r"batch must be a mapping .*, such as \{'group': 20\}, got 20"),
        (
            {"batch": {"hospital": 4.5}},
            r"batch size of plate 'hospital' must be an integer, got 4.5",
        ),
        ({"blocks": 20}, r"blocks must be a mapping .*, got 20"),
        ({"batch": {"hospital": True}}, r"'hospital' must be an integer, got True"),
        ({"steps": 1e3}, r"steps must be an integer, got 1000.0"),
        ({"steps": 0}, r"steps must be positive, got 0"),
        ({"seed": -1}, r"seed must be at least 0 and less than 2\*\*63, got -1"),
        ({"seed": None}, r"seed must be an integer, got None"),
    ],
)
def test_numbers_that_do_not_fit(numbers, message):
    with pytest.raises(ValueError, match=message):
        check_numbers(**{"batch": None, "steps": 1, "seed": 0, **numbers})


def test_what_fits_is_let_through():
    check_model_and_data(gaussian_random_effects(), DATA)  # the same template, built again
    check_choices(MODEL, dependence="faithful", guide=GUIDE, flow=None)
    check_choices(MODEL, dependence="parents", flows={"mu": pavi.MAFFlow()})
    check_numbers(batch={"group": np.int64(2)}, steps=np.int32(1), seed=0)


def test_the_front_door_uses_them():
    code = (
        "import pavi; from pavi.models import gaussian_random_effects\n"
        "try: pavi.fit(gaussian_random_effects(), [1.0])\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "data must be a PlateData, got a list" in done.stdout
