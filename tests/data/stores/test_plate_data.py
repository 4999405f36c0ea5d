"""Data sets whose values stay in a store are the same data sets, for everything that reads them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from core.designs import dense_crossing
from torch.distributions import Bernoulli, Normal, Poisson

import pavi
from pavi.core import Covariate, HierarchicalModel, Latent, Observed, Plate
from pavi.data import PlateData, PlateDataModule, starting_batch, stored_values
from pavi.data.stores import MemmapStore, StoreWriter
from pavi.posterior.encode import encode

SHAPE = (6, 2, 7, 2)


def stored(folder, values, dtype="float32"):
    with StoreWriter(folder, shape=values.shape, dtype=dtype) as writer:
        for part, row in enumerate(values):
            writer.write(part, row)
        writer.finish()
    return MemmapStore.open(folder)


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same data in memory and in a store."""
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    store = stored(tmp_path_factory.mktemp("data") / "y", values)
    model = dense_crossing()
    labels = {"subject": [f"s{i}" for i in range(6)]}
    return [PlateData.from_arrays({"y": y}, model, labels=labels) for y in (values, store)]


def same(one, other):
    assert one.values.keys() == other.values.keys()
    for name, value in one.values.items():
        assert value.dtype == other.values[name].dtype
        assert torch.equal(value, other.values[name])


def test_batches_are_those_of_the_array(both):
    memory, disk = both
    rows = {"subject": np.array([1, 2, 5]), "vertex": np.array([0, 3])}
    for arguments in ({}, {"seed": 3}, {"rows": rows}, {"rows": rows, "sites": ["y"]}):
        same(memory.batch(**arguments), disk.batch(**arguments))
    assert disk.batch(sites=[]).values == {}
    assert disk.measured == ("y",)
    assert disk.values == {}
    assert disk.cardinalities == memory.cardinalities


def test_subsets_leave_the_values_where_they_are(both):
    parts = [data.subset(subject=[4, 1]).subset(subject=[1], vertex=[2, 6]) for data in both]
    assert parts[1].values == {}
    assert parts[1].labels == {"subject": ["s4"]}
    same(parts[0].batch(), parts[1].batch())


def test_a_type_of_the_computation_is_that_of_the_batch(both, tmp_path):
    half = stored(tmp_path / "y", both[0].values["y"].numpy(), "float16")
    data = PlateData.from_arrays({"y": half}, dense_crossing(), dtype=torch.float64)
    assert data.batch().values["y"].dtype == torch.float64


def test_the_reference_is_the_same(both):
    same(*(PlateDataModule(data, batch={"subject": 2}).reference() for data in both))


def test_the_reference_of_large_data_is_a_batch_of_the_run(both, monkeypatch):
    monkeypatch.setattr("pavi.data.module.default_batch", lambda data: {"subject": 1})
    rows = [PlateDataModule(data, batch={"vertex": 3}).reference().rows for data in both]
    assert [len(r["subject"]) for r in rows] == [1, 6]
    assert len(rows[1]["vertex"]) == 3
    assert len(PlateDataModule(both[1]).reference().rows["subject"]) == 1


@pytest.fixture(scope="module")
def posteriors(both):
    """The same fit of both."""
    settings = {"batch": {"subject": 3}, "steps": 3, "progress": False}
    return [
        pavi.fit(data.model, data, encodings=pavi.DeepSetEncodings(), **settings) for data in both
    ]


def answers(posterior):
    """What a posterior says, all in tensors."""
    found = posterior.check(draws=200)
    return {
        "encodings": encode(posterior.trained.encoder, posterior.data, budget=2000)["c"],
        "summary": posterior.summary(draws=5).mean["c"],
        "sample": posterior.sample("t", draws=3, subject=[1, 4]),
        "elbo": torch.tensor(posterior.elbo(draws=4).mean),
        "map": posterior.map(lambda c: c + 1, plates=("subject", "vertex"), draws=2),
        "predict": posterior.predict(draws=2)["y"],
        "check": torch.tensor([found.elbo.mean]),
        "arviz": torch.tensor(posterior.to_arviz(draws=2)["observed_data"]["y"].values),
    }


def test_a_fit_and_its_posterior_are_the_same(posteriors):
    one, other = (p.trained.state_dict() for p in posteriors)
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    one, other = map(answers, posteriors)
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda m, n=name: f"{n}: {m}")


def test_a_report_is_written(posteriors, tmp_path):
    pages = []
    for number, posterior in enumerate(posteriors):
        posterior.report(tmp_path / f"{number}.html", check=False)
        pages.append((tmp_path / f"{number}.html").read_text())
    assert "Measured values" in pages[1]
    assert abs(len(pages[0]) - len(pages[1])) < 100


def test_a_saved_posterior_leaves_the_store_out(posteriors, tmp_path):
    posterior = posteriors[1]
    posterior.save(tmp_path / "saved")
    files = {file.name for file in (tmp_path / "saved").iterdir()}
    assert files == {
        "posterior.json", "weights.safetensors", "encodings.safetensors", "links.safetensors"
    }  # fmt: skip
    assert b"values.npy" not in (tmp_path / "saved" / "posterior.json").read_bytes()
    loaded = pavi.Posterior.load(tmp_path / "saved", posterior.model)
    assert loaded.data.measured == ()
    with pytest.raises(ValueError, match=r"needs the observed values of \['y'\]"):
        loaded.elbo()
    loaded = pavi.Posterior.load(tmp_path / "saved", posterior.model, data=posterior.data)
    assert loaded.elbo(draws=4).mean == posterior.elbo(draws=4).mean


# Where a fit starts


def test_a_start_is_found_from_a_sample(both):
    memory, disk = both
    same(starting_batch(memory), starting_batch(disk))
    batch = starting_batch(disk, numbers=2 * 2 * 9)
    assert batch.values["y"].shape == (3, 2, 3, 2)
    assert {plate: len(rows) for plate, rows in batch.rows.items()} == disk.cardinalities
    assert torch.isin(batch.values["y"], memory.values["y"]).all()


def test_clusters_are_those_of_the_sample(tmp_path):
    store = stored(tmp_path / "y", np.repeat([-5.0, 7.0], 40)[:, None])
    model = HierarchicalModel(
        [Plate("component"), Plate("row"), Plate("column")],
        {
            "m": Latent(lambda: Normal(0.0, 9.0), "component", init=pavi.KMeans("y")),
            "y": Observed(lambda: Normal(0.0, 9.0), ("row", "column")),
        },
    )
    data = PlateData.from_arrays({"y": store}, model, labels={"component": [0, 1]})
    posterior = pavi.fit(model, data, steps=1, progress=False)
    mean = posterior.summary(draws=200).mean["m"]
    torch.testing.assert_close(mean.sort().values, torch.tensor([-5.0, 7.0]), atol=1.0, rtol=0)


# Bad input


def test_all_of_a_large_store_is_not_read_at_once(posteriors, monkeypatch, tmp_path):
    posterior = posteriors[1]
    data = posterior.data
    monkeypatch.setattr(stored_values, "LARGEST", 300)
    message = r"'y' lies in MemmapStore.*a batch of 6 subject x 2 session x 7 vertex would read"
    for whole in (
        data.batch,
        lambda: data.whole("y"),
        lambda: posterior.report(tmp_path / "r.html"),
    ):
        with pytest.raises(ValueError, match=message):
            whole()
    assert data.batch({"subject": np.array([3])}).values["y"].shape == (1, 2, 7, 2)
    posterior.summary(draws=2)


@pytest.mark.parametrize(
    ("design", "arguments", "message"),
    [
        (
            HierarchicalModel(
                [Plate("session"), Plate("vertex")],
                {"y": Observed(lambda: Normal(torch.zeros(2), 1.0), ("session", "vertex"), (2,))},
            ),
            {},
            r"'y': expected an array of shape \(session, vertex, 2\), got \(6, 2, 7, 2\)",
        ),
        (dense_crossing(), {"labels": {"subject": ["s"]}}, r"got 1 names; .*'subject': 6"),
        (dense_crossing(), {"observed": False}, r"given for the observed sites \['y'\]"),
    ],
)
def test_shapes_and_names_are_checked_like_those_of_an_array(both, design, arguments, message):
    with pytest.raises(ValueError, match=message):
        PlateData.from_arrays({"y": both[1].stores["y"]}, design, **arguments)


def of_kind(observed, covariate=None):
    sites = {"y": Observed(observed, ("row", "column"))}
    if covariate:
        sites["x"] = covariate
    return HierarchicalModel([Plate("row"), Plate("column")], sites)


def test_whole_numbers_need_a_discrete_site(tmp_path):
    store = stored(tmp_path / "y", np.array([[0, 1], [2, 0]]), "int16")
    with pytest.raises(ValueError, match=r"'y' is real-valued in the model.*\(int16\)"):
        PlateData.from_arrays({"y": store}, of_kind(lambda: Normal(0.0, 1.0)))
    data = PlateData.from_arrays({"y": store}, of_kind(lambda: Poisson(1.0)))
    assert data.batch().values["y"].dtype == torch.float32
    data = PlateData.from_arrays({"y": store}, of_kind(lambda: Bernoulli(0.5)))
    with pytest.raises(ValueError, match=r"'y': 1 of 4 values lie outside the support"):
        data.batch()


def test_covariates_may_lie_in_a_store(tmp_path):
    store = stored(tmp_path / "x", np.array([[0, 1], [2, 0]]), "int16")
    model = of_kind(lambda x: Normal(x, 1.0), Covariate(("row", "column")))
    data = PlateData.from_arrays({"y": np.zeros((2, 2)), "x": store}, model)
    assert data.covariates == ("x",)
    assert data.batch({"row": np.array([1])}).values["x"].tolist() == [[2, 0]]
    assert data.batch().values["x"].dtype == torch.int16


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values_that_are_not_finite_are_found_when_they_are_read(tmp_path):
    store = stored(tmp_path / "y", np.zeros(SHAPE))
    held = np.load(store.folder / "values.npy", mmap_mode="r+")
    held[4, 1, 5, 0] = np.nan
    held.flush()
    data = PlateData.from_arrays({"y": MemmapStore.open(store.folder)}, dense_crossing())
    data.batch({"subject": np.array([0, 1])})
    rows = {"subject": np.array([2, 4]), "vertex": np.array([0, 5])}
    with pytest.raises(
        ValueError, match=r"'y': 1 of 16 values .* first at subject 4, session 1, vertex 5;"
    ):
        data.batch(rows)
