"""Draws from a model."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing

NEST = {"lea": 3, "school": 5, "pupil": 9}
CROSSING = {"student": 4, "lecturer": 6, "rating": 8}
DENSE = {"subject": 2, "session": 3, "vertex": 4}
DESIGNS = [(ragged_nest, NEST), (sparse_crossing, CROSSING), (dense_crossing, DENSE)]


@pytest.mark.parametrize(("design", "sizes"), DESIGNS)
def test_a_seed_fixes_all_and_torch_s_state_is_left_alone(design, sizes):
    model, state = design(), torch.get_rng_state()
    one, same, other = (model.simulate(sizes, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    for name in one.latents:
        assert torch.equal(one.latents[name], same.latents[name])
    for name in one.arrays:
        assert torch.equal(one.arrays[name], same.arrays[name])
        assert not torch.equal(one.arrays[name], other.arrays[name])


@pytest.mark.parametrize(("design", "sizes"), DESIGNS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shapes_and_types(design, sizes, dtype):
    model = design()
    drawn = model.simulate(sizes, seed=0, dtype=dtype)
    for name, value in {**drawn.latents, **drawn.arrays}.items():
        site = model.sites[name]
        assert value.shape == (*(sizes[p] for p in site.plates), *site.event_shape)
        assert value.dtype == dtype


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("design", "sizes"), DESIGNS[:2])
def test_links_leave_no_parent_without_a_row(design, sizes, seed):
    for plate, parents in design().simulate(sizes, seed=seed).links.items():
        for parent, rows in parents.items():
            assert len(rows) == sizes[plate]
            assert rows.unique().tolist() == list(range(sizes[parent]))


def test_given_links_and_covariates_are_taken():
    links = {"school": {"lea": torch.tensor([0, 0])}, "pupil": {"school": torch.tensor([1, 0])}}
    x = torch.tensor([1.0, 2.0])
    sizes = {"lea": 1, "school": 2, "pupil": 2}
    drawn = ragged_nest().simulate(sizes, seed=0, covariates={"x": x}, links=links)
    assert drawn.links is links
    assert drawn.arrays["x"] is x


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"lea": 3, "school": 5}, r"lack the plates \['pupil'\].*plates are \['lea', 'school', "),
        ({**NEST, "pupils": 3}, r"name \['pupils'\], which are not plates; plates are \['lea'"),
        ({**NEST, "pupil": 4}, r"'pupil' has 4 rows, fewer than the 5 of 'school'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        ragged_nest().simulate(sizes, seed=0)
