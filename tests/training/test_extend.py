"""Other groups, with all that groups share kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from torch.distributions import Normal
from torch.testing import assert_close

import pavi
from pavi import Latent, Observed, Plate
from pavi.models import gaussian_random_effects


def nested():
    return pavi.HierarchicalModel(
        [Plate("school"), Plate("pupil", within="school")],
        {
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "b": Latent(lambda mu: Normal(mu, 0.5), "school"),
            "y": Observed(lambda b: Normal(b, 0.4), "pupil"),
        },
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    school = np.repeat([f"s{number:02d}" for number in range(20)], 5)
    effect = np.repeat(rng.normal(0.3, 0.5, 20), 5)
    frame = pd.DataFrame({"school": school, "y": effect + rng.normal(0, 0.4, 100)})
    return pavi.PlateData.from_frame(frame, nested())


def exact(data, mu):
    """Mean and sd of the effects given `mu`."""
    links = data.links["pupil"]["school"]
    total = torch.zeros(data.cardinalities["school"]).index_add(0, links, data.values["y"])
    precision = 1 / 0.5**2 + torch.bincount(links) / 0.4**2
    return (mu / 0.5**2 + total / 0.4**2) / precision, precision**-0.5


@pytest.mark.parametrize(
    "encodings",
    [pavi.FreeEncodings(8), pavi.DeepSetEncodings(dim=8), pavi.HybridEncodings()],
    ids=lambda spec: type(spec).__name__,
)
def test_new_groups_get_their_posterior_and_the_rest_stays(data, encodings):
    part = data.subset(school=range(15))
    posterior = pavi.fit(
        part.model,
        part,
        encodings=encodings,
        steps=400,
        batch={"school": 5},
        progress=False,
        optimization=pavi.Optimization(network_rate=0.03),
    )
    before = {name: value.clone() for name, value in posterior.trained.state_dict().items()}
    extended = posterior.extend(data, steps=300)
    for name, value in posterior.trained.state_dict().items():
        assert torch.equal(value, before[name])
    assert all(p.requires_grad for p in posterior.trained.parameters())
    drawn, old = extended.sample(draws=4000), posterior.sample(draws=4000)
    assert torch.equal(drawn["mu"], old["mu"])
    assert_close(drawn["b"][:, :15].mean(0), old["b"].mean(0), rtol=0, atol=0.03)
    mean, sd = exact(data, drawn["mu"].mean())
    assert ((drawn["b"].mean(0) - mean)[15:].abs() < 0.25 * sd[15:]).all()
    assert ((drawn["b"].std(0) / sd)[15:] - 1).abs().max() < 0.3


def test_unseen_labels_are_refused_where_none_are_expected(data):
    part = data.subset(school=range(15))
    posterior = pavi.Posterior(pavi.PlateAmortizedGuide(part.model, part.cardinalities), part)
    with pytest.raises(ValueError, match=r"plate 'school' has 5 rows that the posterior has not "):
        posterior.extend(data, new=["pupil"])
    with pytest.raises(ValueError, match=r"new names \['pupils'\], which are not plates"):
        posterior.extend(data, new=["pupils"])


def test_data_of_another_model_are_refused(data):
    other = gaussian_random_effects()
    posterior = pavi.Posterior(pavi.PlateAmortizedGuide(data.model, data.cardinalities), data)
    wrong = pavi.PlateData.from_arrays({"x": torch.zeros(2, 3, 2)}, other)
    with pytest.raises(ValueError, match="the data belong to another model than the posterior"):
        posterior.extend(wrong)


def test_a_guide_of_all_latents_is_not_extended(data):
    guide = pavi.guides.TotalFlowGuide(data.model, data.cardinalities)
    with pytest.raises(ValueError, match=r"only a PlateAmortizedGuide .*has a TotalFlowGuide"):
        pavi.Posterior(guide, data).extend(data)


def test_groups_that_nobody_measured_are_refused(data):
    posterior = pavi.Posterior(pavi.PlateAmortizedGuide(data.model, data.cardinalities), data)
    frame = pd.DataFrame({"school": ["s00", "x"]})
    new = pavi.PlateData.from_frame(frame, nested(), observed=False)
    with pytest.raises(
        ValueError, match=r"needs the observed values of \['y'\]; .*predict\(data="
    ):
        posterior.extend(new)


def test_a_subset_keeps_links_and_labels(data):
    part = data.subset(school=[3, 17])
    assert part.labels["school"] == ["s03", "s17"]
    assert part.links["pupil"]["school"].tolist() == [0] * 5 + [1] * 5
    rows = [*range(15, 20), *range(85, 90)]
    assert torch.equal(part.values["y"], data.values["y"][rows])
    assert part.rows_in(data)["school"].tolist() == [3, 17]
    assert data.rows_in(part)["school"].tolist()[:4] == [-1, -1, -1, 0]
    assert data.subset(pupil=[7]).cardinalities == {"school": 1, "pupil": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"lea": [0]}, r"'lea' is not a plate; plates are \['school', 'pupil'\]"),
        ({"school": [20]}, "plate 'school' has rows 0 to 19; got 1 row numbers from 20 to 20"),
        ({"school": []}, "plate 'school' has rows 0 to 19; got 0 row numbers"),
        ({"school": [0], "pupil": [0]}, "'school' and 'pupil' lie within one another"),
    ],
)
def test_the_rows_of_a_subset_are_checked(data, rows, message):
    with pytest.raises(ValueError, match=message):
        data.subset(**rows)
