"""What a model derives from its sites, and the templates it refuses."""

from __future__ import annotations

import pytest
import torch
from core.designs import dense_crossing, ragged_nest, sparse_crossing
from torch.distributions import (
    Bernoulli,
    Categorical,
    Dirichlet,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    Poisson,
    VonMises,
    constraints,
)

from pavi.core import Covariate, HierarchicalModel, Latent, Observed, Plate

PLATES = [Plate("lea"), Plate("school", within="lea"), Plate("item")]
NORMAL = Latent(lambda: Normal(0.0, 1.0))


def normal_of(parent, plates=()):
    """A site whose one parent is called `parent`."""
    return Latent(eval(f"lambda {parent}: Normal({parent}, 1.0)", {"Normal": Normal}), plates)


def mixture():
    return MixtureSameFamily(Categorical(torch.ones(2)), Normal(torch.zeros(2), 1.0))


def test_parents_come_first_and_kinds_are_told_apart():
    sites = ragged_nest().sites
    model = HierarchicalModel(
        list(ragged_nest().plates.values()), {name: sites[name] for name in reversed(sites)}
    )
    assert list(model.sites) == ["x", "tau", "mu", "a", "b", "y"]
    assert model.latents == ("tau", "mu", "a", "b")
    assert (model.observed, model.covariates) == (("y",), ("x",))


def test_an_argument_with_a_default_is_a_constant():
    assert Latent(lambda mu, scale=2.0: Normal(mu, scale)).parents == ("mu",)


def test_supports_and_latent_dimensions():
    assert ragged_nest().supports["tau"] == constraints.nonnegative
    sizes = {"subject": 2, "session": 3, "vertex": 5}
    assert dense_crossing().num_latents(sizes) == 2 + 2 * 2 + 5 + 2 * 5 * 2


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ({"a": Latent(lambda: Normal(0.0, 1.0), "class")},
         r"site 'a' lies on plate 'class', which does not exist; plates are \['lea', 'item', 'sc"),
        ({"mu": NORMAL, "a": normal_of("my")},
         r"site 'a' has the parent 'my', which does not exist; sites are \['mu', 'a'\]"),
        ({"a": normal_of("b"), "b": normal_of("a")},
         r"sites depend on each other in a circle: (a -> b -> a|b -> a -> b)"),
        ({"a": normal_of("a")}, r"in a circle: a -> a"),
        ({"a": Latent(lambda: Normal(0.0, 1.0), "school"), "b": normal_of("a", "lea")},
         r"site 'b' uses 'a', which lies on plate 'school', outside .*\('lea',\).*\['lea'\]"),
        ({"a": Latent(lambda: Normal(0.0, 1.0), "item"), "b": normal_of("a", "school")},
         r"site 'b' uses 'a', which lies on plate 'item', outside .*\['lea', 'school'\]"),
        ({"a": Latent(lambda: Normal(0.0, 1.0), ("school", "lea"))},
         r"site 'a' lies on plates 'school' and 'lea', which share 'lea'"),
        ({"a": Latent(lambda: Normal(torch.zeros(3), 1.0), event_shape=(2,))},
         r"site 'a': .* shape \(3,\), which does not broadcast to \(2, 2\) .* event_shape \(2,\)"),
        ({"a": Latent(lambda: MultivariateNormal(torch.zeros(2), torch.eye(2)))},
         r"site 'a': .* shape \(2,\), .* event_shape \(\)"),
        ({"a": Latent(lambda: Normal(torch.zeros(4), 1.0), "lea")},
         r"site 'a': .* shape \(4,\), which does not broadcast to \(2, 3\)"),
        ({"mu": NORMAL, "a": Latent(lambda mu: mu, "lea")},
         r"site 'a': its conditional must return a torch distribution, got Tensor"),
        ({"mu": NORMAL, "a": Latent(lambda mu: 1 / 0)},
         r"site 'a': its conditional failed with ZeroDivisionError.*got mu \(2,\)"),
        ({"mu": NORMAL, "a": Latent(lambda mu: Normal(0.0, mu - 100.0))},
         r"site 'a': its conditional failed with ValueError: Expected parameter scale"),
        ({"half": NORMAL}, r"site 'half' has the name of a method of torch's .*; call it 'half_'"),
        ({"a.b": NORMAL}, r"site 'a.b': a name must be a Python identifier"),
        ({"a": Latent(lambda: Poisson(1.0))}, r"site 'a' is latent and its Poisson is discrete"),
        ({"a": Latent(lambda: Bernoulli(0.5))}, r"'a' is latent and its Bernoulli is discrete"),
        ({"a": Latent(lambda: VonMises(0.0, 1.0))},
         r"site 'a' is latent, so .* reparameterised \(has rsample\); VonMises is not"),
        ({"a": Latent(mixture)}, r"reparameterised \(has rsample\); MixtureSameFamily is not"),
    ],
)  # fmt: skip
def test_a_template_with_a_mistake_is_refused(sites, message):
    with pytest.raises(ValueError, match=message):
        HierarchicalModel(PLATES, sites)


def test_parents_are_named_one_by_one():
    with pytest.raises(ValueError, match=r"must name its parents one by one, not as \*parents"):
        Latent(lambda *parents: Normal(0.0, 1.0))


def test_there_is_an_end_to_plates():
    with pytest.raises(ValueError, match=r"at most 10 plates, got 11"):
        HierarchicalModel([Plate(f"p{i}") for i in range(11)], {})


def test_an_observed_site_may_be_discrete_and_use_an_observed_one():
    model = HierarchicalModel(
        [Plate("n")],
        {
            "x": Covariate("n"),
            "y": Observed(lambda x: Poisson(x.exp()), "n"),
            "z": Observed(lambda y: Normal(y, 1.0), "n"),
        },
    )
    assert model.supports["y"] == constraints.nonnegative_integer


def test_building_leaves_the_generator_of_torch_alone():
    before = torch.get_rng_state()
    sparse_crossing()
    assert torch.equal(torch.get_rng_state(), before)


def test_describe_shows_every_site_and_its_size(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    ragged_nest().describe({"lea": 2, "school": 3, "pupil": 1234})
    lines = capsys.readouterr().out.splitlines()

    def words(start):
        return " ".join(" ".join(x for x in lines if x.startswith(f"│ {start} ")).split()).split(
            "│"
        )

    assert [word.strip() for word in words("pupil")[1:5]] == ["pupil", "nested", "school", "1,234"]
    assert [word.strip() for word in words("b")[1:8]] == [
        "b", "latent", "school", "", "a, tau", "real", "3"
    ]  # fmt: skip
    assert words("tau")[6].strip() == "\N{GREATER-THAN OR EQUAL TO} 0"
    assert lines[-1] == "7 latent dimensions in all"


def test_describe_needs_no_sizes(capsys):
    dense_crossing().describe()
    assert "latent dimensions" not in capsys.readouterr().out


def test_describe_refuses_an_unknown_plate():
    with pytest.raises(ValueError, match=r"\['pupils'\].*plates are \['lea', 'school', 'pupil'\]"):
        ragged_nest().describe({"pupils": 3})


@pytest.mark.parametrize(
    ("prior", "shape"),
    [
        (lambda: Dirichlet(torch.ones(3)), r"\(3,\)"),
        (lambda: MultivariateNormal(torch.zeros(2), torch.eye(2)), r"\(2,\)"),
    ],
)
def test_a_missing_event_shape_is_named(prior, shape):
    with pytest.raises(ValueError, match=rf"site 'm': .*declare event_shape={shape}"):
        HierarchicalModel(
            [Plate("a")],
            {
                "m": Latent(prior, plates="a"),
                "y": Observed(lambda m: Normal(m.sum(-1), 1.0), plates="a"),
            },
        )
