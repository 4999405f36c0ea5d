"""Derived quantities are those of the draws, in one chunk and in many."""

from __future__ import annotations

import pytest
import torch
from posterior.narrow import DESIGNS, narrow_posterior
from torch.testing import assert_close

import pavi
from pavi.posterior import derived

DRAWS = 6
ONE, MANY = 2**24, 1


@pytest.fixture(scope="module")
def nest():
    return narrow_posterior("ragged nest")


@pytest.fixture(scope="module")
def dense():
    return narrow_posterior("dense crossing")


def test_a_contrast_is_that_of_the_draws(nest):
    drawn = nest.sample(draws=DRAWS)
    found = nest.map(lambda b, a, tau: (b - a) / tau, plates="school", draws=DRAWS)
    lea = nest.data.links["school"]["lea"]
    assert_close(found, (drawn["b"] - drawn["a"][:, lea]) / drawn["tau"].unsqueeze(1))


def test_covariates_and_observed_values_come_along(nest):
    drawn = nest.sample(draws=DRAWS)
    found = nest.map(lambda y, b, x, scale=2.0: scale * (y - b) + x, plates="pupil", draws=DRAWS)
    values, school = nest.data.values, nest.data.links["pupil"]["school"]
    assert_close(found, 2.0 * (values["y"] - drawn["b"][:, school]) + values["x"])


def test_vectors_and_scalars_are_aligned_as_in_a_conditional(dense):
    drawn = dense.sample(draws=DRAWS)
    found = dense.map(lambda t, k: t / k, plates=("subject", "vertex"), draws=DRAWS)
    assert_close(found, drawn["t"].unsqueeze(2) / drawn["k"][:, None, :, None])
    norm = dense.map(lambda t: t.norm(dim=-1), plates="subject", draws=DRAWS)
    assert_close(norm, drawn["t"].norm(dim=-1))
    turned = dense.map(lambda c: c, plates=("vertex", "subject"), draws=DRAWS)
    assert_close(turned, drawn["c"].transpose(1, 2))


@pytest.mark.parametrize(
    ("design", "fn", "plates"),
    [
        ("ragged nest", lambda b, a, x: b + a * x, "pupil"),
        ("ragged nest", lambda mu, tau: mu * tau, ()),
        ("ragged nest", lambda mu: mu, "lea"),
        ("sparse crossing", lambda s, l: s * l, "rating"),
        ("sparse crossing", lambda l: l, "lecturer"),
        ("sparse crossing", lambda s, l: s * l, ("student", "lecturer")),
        ("dense crossing", lambda c, k: c * k, ("subject", "vertex")),
    ],
)
def test_many_chunks_give_what_one_does(design, fn, plates):
    assert design in DESIGNS
    posterior = narrow_posterior(design)
    one, many = (posterior.map(fn, plates=plates, draws=DRAWS, budget=b) for b in (ONE, MANY))
    # The noise of the rows differs, in a width of about 1e-6 scales of the prior.
    assert_close(many, one, rtol=0, atol=1e-2)
    shape = posterior.data.batch().shape((plates,) if isinstance(plates, str) else plates)
    assert one.shape[: 1 + len(shape)] == (DRAWS, *shape)


def test_a_reduction_keeps_no_chunk_as_a_whole(nest, monkeypatch):
    sizes = []
    real = derived._expanded

    def spy(*arguments):
        result = real(*arguments)
        sizes.append(result.numel())
        return result

    monkeypatch.setattr(derived, "_expanded", spy)
    found = nest.map(lambda b: b, plates="school", draws=DRAWS, budget=MANY, reduce=lambda q: q.mean(0, keepdim=True))  # fmt: skip
    assert found.shape == (1, 5)
    assert len(sizes) == 3
    assert max(sizes) < DRAWS * 5
    assert_close(found[0], nest.summary("b", draws=DRAWS).mean["b"], rtol=0, atol=1e-2)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda p: p.map(lambda c: c), r"has the argument 'c', which is not a site; sites are \['mu',"),
        (lambda p: p.map(lambda *sites: 0), r"must name its sites one by one, not as \*sites"),
        (lambda p: p.map(lambda b: b),
         r"'b', which lies on plate 'school', outside the reach .*plates= names .* on \['school'\]"),
        (lambda p: p.map(lambda b: b, plates="pupils"), r"'pupils' is not a plate; plates are \['lea'"),
        (lambda p: p.map(lambda b: b, plates=("lea", "pupil")), r"share 'lea'; name the finer plate"),
        (lambda p: p.map(lambda b: b, plates=("lea", "lea")), r"name one of them twice"),
        (lambda p: p.map(lambda b: b.mean(), plates="school", draws=9),
         r"of shape \(draws, school, \*event\), here with \(9, 5\) in front; .* of shape \(\)"),
        (lambda p: p.map(lambda b: 1.0, plates="school"), r"it returned a float"),
        (lambda p: p.map(lambda b: b, plates="school", draws=0), r"draws must be an integer"),
        (lambda p: p.map(lambda b: b, plates="school", reduce=lambda q: q.sum()),
         r"reduce must keep the axes of the plates \['school'\] .*returned \(\)"),
    ],
)  # fmt: skip
def test_a_function_that_does_not_fit(nest, ask, message):
    with pytest.raises(ValueError, match=message):
        ask(nest)


def test_a_posterior_loaded_without_data_names_what_it_lacks(nest, tmp_path):
    nest.save(tmp_path / "fit")
    loaded = pavi.Posterior.load(tmp_path / "fit", nest.model)
    assert loaded.map(lambda b: b.exp(), plates="school", draws=2).shape == (2, 5)
    with pytest.raises(ValueError, match=r"uses the covariate 'x'; the data hold \[\]"):
        loaded.map(lambda b, x: b * x, plates="pupil")
    with pytest.raises(ValueError, match=r"this function needs the observed values of \['y'\]"):
        loaded.map(lambda b, y: y - b, plates="pupil")


def test_gradients_are_not_kept(nest):
    assert not nest.map(lambda mu: mu, draws=2).requires_grad
    assert torch.is_grad_enabled()
