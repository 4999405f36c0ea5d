"""What every encoder owes: zero at the start, the same rows for the same data, exact parts."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import Normal
from torch.testing import assert_close

from pavi import (
    DeepSetEncodings,
    FreeEncodings,
    HierarchicalModel,
    HybridEncodings,
    Latent,
    Observed,
    Plate,
    PlateData,
    SetTransformerEncodings,
)
from pavi.encodings import OwnDataEncodings
from pavi.posterior.encode import encode

# Rows of children are out of the order of their parents, and one group has a single row.
NEST = {"school": [1, 0, 2, 1], "pupil": [2, 0, 1, 2, 1, 3, 3, 2, 0]}
CROSSING = {"rating": {"student": [2, 0, 1, 2, 0, 1, 2], "lecturer": [0, 0, 1, 1, 1, 3, 2]}}
DESIGNS = {
    "dense crossing": (dense_crossing, {}),
    "ragged nest": (ragged_nest, NEST),
    "sparse crossing": (sparse_crossing, CROSSING),
}
COMPUTED = {
    "deep set": DeepSetEncodings(),
    "three rounds": DeepSetEncodings(rounds=3),
    "set transformer": SetTransformerEncodings(seeds=2),
    "own data": OwnDataEncodings(SetTransformerEncodings(seeds=2)),
}
ALL = {"free": FreeEncodings(), **COMPUTED, "hybrid": HybridEncodings()}


def data_of(design, links, *, missing=False):
    model = design()
    shape = {"dense_crossing": (3, 2, 4, 2), "ragged_nest": (9,)}.get(design.__name__, (7,))
    arrays = {name: torch.randn(9) for name in model.covariates} | {"y": torch.randn(shape)}
    if missing:
        arrays["y"].view(-1)[[0, 3]] = torch.nan
    return PlateData.from_arrays(arrays, model, links=links, missing="ignore", dtype=torch.float64)


def encoder_of(spec, data):
    """With random weights, so that no encoding is zero."""
    encoder = spec.build(data.model, data.cardinalities).double()
    encoder.standardise(data.batch())
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0.0, 0.2)
    return encoder


def permuted(data, orders):
    """The same data with the rows of plates in another order."""
    model = data.model
    arrays = {}
    for name, value in data.values.items():
        for axis, plate in enumerate(model.sites[name].plates):
            value = value.index_select(axis, orders[plate])
        arrays[name] = value
    links = {
        plate: {up: orders[up].argsort()[rows[orders[plate]]] for up, rows in parents.items()}
        for plate, parents in data.links.items()
    }
    return PlateData.from_arrays(arrays, model, links=links, dtype=torch.float64)


@pytest.mark.parametrize("spec", ALL.values(), ids=ALL)
@pytest.mark.parametrize(("design", "links"), DESIGNS.values(), ids=DESIGNS)
def test_an_encoder_starts_at_zero_with_one_row_per_ground_variable(design, links, spec):
    data = data_of(design, links)
    encoder = spec.build(data.model, data.cardinalities).double()
    encoder.standardise(data.batch())
    found = encoder(data.batch())
    assert set(found) == set(data.model.latents)
    for name, encoding in found.items():
        sizes = [data.cardinalities[plate] for plate in data.model.sites[name].plates]
        assert encoding.shape == (*sizes, spec.dim)
        assert not encoding.any()


@pytest.mark.parametrize("spec", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize(("design", "links"), DESIGNS.values(), ids=DESIGNS)
def test_permuted_rows_have_permuted_encodings(design, links, spec):
    data = data_of(design, links)
    encoder = encoder_of(spec, data)
    orders = {plate: torch.randperm(size) for plate, size in data.cardinalities.items()}
    before, after = encoder(data.batch()), encoder(permuted(data, orders).batch())
    for name, encoding in before.items():
        for axis, plate in enumerate(data.model.sites[name].plates):
            encoding = encoding.index_select(axis, orders[plate])
        assert_close(after[name], encoding, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spec", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(("design", "links"), DESIGNS.values(), ids=DESIGNS)
def test_encodings_in_parts_are_those_of_all_data(design, links, missing, spec):
    data = data_of(design, links, missing=missing)
    encoder = encoder_of(spec, data)
    whole, parts = encode(encoder, data), encode(encoder, data, budget=1)
    for name, encoding in whole.items():
        assert_close(parts[name], encoding, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("spec", COMPUTED.values(), ids=COMPUTED)
@pytest.mark.parametrize(("design", "links"), DESIGNS.values(), ids=DESIGNS)
def test_every_parameter_has_a_gradient(design, links, spec):
    data = data_of(design, links)
    encoder = encoder_of(spec, data)
    total = sum(encoding.square().sum() for encoding in encoder(data.batch()).values())
    total.backward()
    still = [
        name
        for name, parameter in encoder.named_parameters()
        if parameter.numel() and (parameter.grad is None or not parameter.grad.any())
    ]
    assert not still


def test_a_batch_of_whole_groups_has_their_encodings():
    data = data_of(ragged_nest, NEST)
    encoder = encoder_of(DeepSetEncodings(), data)
    full = encoder(data.batch())
    rows = {"lea": [1, 2], "school": [0, 2, 3], "pupil": [0, 3, 4, 5, 6, 7]}
    rows["school"] = sorted(s for s in range(4) if NEST["school"][s] in rows["lea"])
    rows["pupil"] = sorted(p for p in range(9) if NEST["pupil"][p] in rows["school"])
    part = encoder(data.batch({plate: torch.tensor(ids).numpy() for plate, ids in rows.items()}))
    for name, plate in (("a", "lea"), ("b", "school")):
        assert_close(part[name], full[name][rows[plate]], rtol=1e-10, atol=1e-10)


def test_own_data_are_those_on_and_below_a_row():
    data = data_of(ragged_nest, NEST)
    encoder = encoder_of(OwnDataEncodings(), data)
    before = encoder(data.batch())
    pupils = torch.tensor(NEST["pupil"]) == 0
    data.values["y"][pupils] += 1.0
    after = encoder(data.batch())
    moved = {n: (after[n] - before[n]).abs().amax(-1) > 1e-9 for n in ("a", "b")}
    assert moved["b"].tolist() == [True, False, False, False]
    assert moved["a"].tolist() == [False, True, False]
    shared = encoder_of(DeepSetEncodings(), data)
    above = shared(data.batch())["b"]
    data.values["y"][pupils] += 1.0
    assert (shared(data.batch())["b"] - above).abs().amax(-1)[3] > 1e-9


def test_missing_values_say_nothing():
    data = data_of(ragged_nest, NEST, missing=True)
    encoder = encoder_of(DeepSetEncodings(), data)
    before = encoder(data.batch())
    data.values["y"][data.present["y"].logical_not()] = 1e6
    for name, encoding in encoder(data.batch()).items():
        assert torch.equal(encoding, before[name])


def test_the_number_of_parameters_is_that_of_the_template():
    model = ragged_nest()
    small, large = {"lea": 2, "school": 4, "pupil": 9}, {"lea": 50, "school": 300, "pupil": 900}

    def count(spec, sizes):
        return sum(p.numel() for p in spec.build(model, sizes).parameters())

    computed, hybrid = DeepSetEncodings(dim=5), HybridEncodings(DeepSetEncodings(dim=5))
    assert count(computed, small) == count(computed, large)
    assert count(hybrid, large) == count(computed, large) + 5 * (50 + 300)


def test_a_site_without_data_below_has_no_computed_encoding():
    model = HierarchicalModel(
        [Plate("group"), Plate("other")],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "group"),
            "b": Latent(lambda: Normal(0.0, 1.0), "other"),
            "y": Observed(lambda a: Normal(a, 1.0), "group"),
        },
    )
    sizes = {"group": 3, "other": 2}
    with pytest.raises(ValueError, match=r"latent site 'b' on plates \('other',\) has no obs"):
        DeepSetEncodings().build(model, sizes)
    hybrid = HybridEncodings().build(model, sizes)
    assert hybrid.tables_from == 0.0


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DeepSetEncodings(width=0), "width of an encoder must be positive, got 0"),
        (lambda: DeepSetEncodings(heads=3), "heads must divide width, got 3 and 16"),
        (lambda: OwnDataEncodings(DeepSetEncodings(rounds=2)), "take one round, .* got 2 rounds"),
        (lambda: HybridEncodings(start=1.0), "start must be at least 0 and less than 1, got 1.0"),
    ],
)
def test_settings_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()
