"""Draws on disk: all of them, in parts of bounded size, and nothing half written."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray
from posterior.narrow import DESIGNS, narrow_posterior
from torch.testing import assert_close

from pavi.flows import AffineFlow
from pavi.guides import TotalFlowGuide
from pavi.posterior import Posterior, zarr_export
from pavi.posterior.joint_draws import JointDraws

DRAWS = 7


def read(path):
    return xarray.open_datatree(path, engine="zarr", consolidated=False)["posterior"].load()


@pytest.fixture
def held(monkeypatch):
    """How many numbers of latents every part held, one list entry per part."""
    sizes = []
    real = JointDraws.parts

    def parts(self, *arguments, **options):
        for part in real(self, *arguments, **options):
            shared = self.chunks.shared
            sizes.append(sum(v.numel() for s, v in part.draws.values.items() if not shared(s)))
            yield part

    monkeypatch.setattr(JointDraws, "parts", parts)
    return sizes


@pytest.mark.parametrize("name", DESIGNS)
@pytest.mark.parametrize("budget", [2**24, 60, 1])
def test_what_is_read_is_what_was_drawn(name, budget, tmp_path):
    posterior = narrow_posterior(name, dependence="none")
    posterior.to_zarr(tmp_path / "draws", draws=DRAWS, budget=budget)
    tree, drawn = read(tmp_path / "draws"), posterior.sample(draws=DRAWS)
    assert set(tree.data_vars) == set(drawn)
    for site, value in drawn.items():
        assert tree[site].dims[:2] == ("chain", "draw")
        # The noise differs, in a width of about 1e-6 scales of the prior.
        assert_close(torch.as_tensor(tree[site].values[0]), value, rtol=0, atol=1e-2)
    plates = posterior.model.plates
    held = [plate for plate in plates if plate in tree.dims]
    for plate in held:
        assert tree.sizes[plate] == posterior.data.cardinalities[plate]


def test_rows_have_their_labels(tmp_path):
    posterior = narrow_posterior("ragged nest")
    posterior.to_zarr(tmp_path / "draws", draws=DRAWS)
    tree, expected = read(tmp_path / "draws"), posterior.to_arviz(draws=DRAWS)["posterior"]
    for site in posterior.model.latents:
        assert tree[site].dims == expected[site].dims
    assert tree["school"].values.tolist() == ["C/1", "A/1", "B/1", "C/2", "B/2"]
    assert tree["lea_of_school"].values.tolist() == ["C", "A", "B", "C", "B"]
    assert tree["b"].sel(school="B/2").shape == (1, DRAWS)
    assert tree.attrs["inference_library"] == "pavi"


@pytest.mark.parametrize(("budget", "parts"), [(2**24, 1), (90, 3), (30, 7), (10, 21)])
def test_a_part_fits_the_budget(budget, parts, held, tmp_path):
    """A draw of a nest counts for 30 numbers, of which 8 are latent; the last budget splits it."""
    posterior = narrow_posterior("ragged nest")
    assert posterior.data.numbers() == {"lea": 30}
    posterior.to_zarr(tmp_path / "draws", draws=DRAWS, budget=budget)
    assert len(held) == parts
    assert max(held) <= budget
    assert np.isfinite(read(tmp_path / "draws")["b"]).all()


def test_draws_do_not_repeat_from_part_to_part(tmp_path):
    posterior = narrow_posterior("ragged nest")
    posterior.to_zarr(tmp_path / "draws", draws=30, budget=60)
    mu = read(tmp_path / "draws")["mu"].values.ravel()
    assert len(np.unique(mu)) == 30


def test_the_seed_decides(tmp_path):
    posterior = narrow_posterior("ragged nest")
    for name, seed in (("one", 1), ("same", 1), ("other", 2)):
        posterior.to_zarr(tmp_path / name, draws=DRAWS, seed=seed)
    one, same, other = (read(tmp_path / name)["b"].values for name in ("one", "same", "other"))
    assert (one == same).all()
    assert (one != other).any()


def test_a_guide_that_draws_all_at_once_is_written_some_draws_at_a_time(held, tmp_path):
    posterior = narrow_posterior("sparse crossing")
    guide = TotalFlowGuide(
        posterior.model, posterior.data.cardinalities, flow=AffineFlow(full=True)
    ).double()
    Posterior(guide, posterior.data).to_zarr(tmp_path / "draws", draws=DRAWS, budget=1)
    assert len(held) == DRAWS
    assert np.isfinite(read(tmp_path / "draws")["s"]).all()


@pytest.mark.parametrize("before", [False, True])
def test_a_write_that_fails_leaves_the_old_draws_or_nothing(before, tmp_path, monkeypatch):
    posterior, path = narrow_posterior("ragged nest"), tmp_path / "draws"
    if before:
        posterior.to_zarr(path, draws=3)
    real = JointDraws.parts

    def failing(self, *arguments, **options):
        for number, part in enumerate(real(self, *arguments, **options)):
            if number:
                raise OSError("no space left on device")
            yield part

    monkeypatch.setattr(JointDraws, "parts", failing)
    with pytest.raises(OSError, match="no space"):
        posterior.to_zarr(path, draws=5, budget=1, overwrite=True)
    assert [found.name for found in tmp_path.iterdir()] == (["draws"] if before else [])
    if before:
        assert read(path).sizes["draw"] == 3


def test_old_draws_are_replaced_on_request_and_other_folders_never(tmp_path):
    posterior = narrow_posterior("ragged nest")
    posterior.to_zarr(str(tmp_path / "draws"), draws=3)
    with pytest.raises(ValueError, match=r"draws exists; .* or replace it by overwrite=True"):
        posterior.to_zarr(tmp_path / "draws", draws=4)
    assert read(tmp_path / "draws").sizes["draw"] == 3
    posterior.to_zarr(tmp_path / "draws", draws=4, overwrite=True)
    assert read(tmp_path / "draws").sizes["draw"] == 4
    (tmp_path / "thesis").mkdir()
    with pytest.raises(
        ValueError, match=r"thesis exists and is not a zarr folder; choose another"
    ):
        posterior.to_zarr(tmp_path / "thesis", overwrite=True)
    with pytest.raises(ValueError, match="draws must be an integer of at least 1"):
        posterior.to_zarr(tmp_path / "draws", draws=0)


def test_files_hold_some_rows_of_many_draws(tmp_path, monkeypatch):
    import zarr

    monkeypatch.setattr(zarr_export, "FILE", 2 * DRAWS)
    narrow_posterior("ragged nest").to_zarr(tmp_path / "draws", draws=DRAWS)
    array = zarr.open_array(tmp_path / "draws", path="posterior/b", mode="r")
    assert array.chunks == (1, DRAWS, 2)
    assert array.dtype == np.float64
