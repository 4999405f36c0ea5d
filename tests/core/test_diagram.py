"""What every diagram must show, on designs whose plates nest and cross in all ways."""

from __future__ import annotations

import sys
from itertools import combinations, permutations

import pytest
from matplotlib import pyplot, rcParams
from torch.distributions import Normal

from pavi.core.layout import GAP, arrange
from pavi.core.model import HierarchicalModel
from pavi.core.plates import Plate
from pavi.core.sites import Covariate, Latent, Observed


def normal(mean=0.0):
    return Normal(mean, 1.0)


def two_levels():
    return HierarchicalModel(
        [Plate("group"), Plate("obs")],
        {
            "mu": Latent(lambda: normal()),
            "theta": Latent(lambda mu: normal(mu), "group"),
            "x": Observed(lambda theta: normal(theta), ("group", "obs")),
        },
    )


def three_levels():
    return HierarchicalModel(
        [Plate("lea"), Plate("school", within="lea"), Plate("pupil", within="school")],
        {
            "mu": Latent(lambda: normal()),
            "beta": Latent(lambda: normal()),
            "tau_lea": Latent(lambda: normal()),
            "tau_school": Latent(lambda: normal()),
            "sigma": Latent(lambda: normal()),
            "lea_effect": Latent(lambda mu, tau_lea: normal(mu + tau_lea), "lea"),
            "school_effect": Latent(
                lambda lea_effect, tau_school: normal(lea_effect + tau_school), "school"
            ),
            "gcse": Covariate("pupil"),
            "score": Observed(
                lambda school_effect, beta, gcse, sigma: normal(
                    school_effect + beta * gcse + sigma
                ),
                "pupil",
            ),
        },
    )


def sparse_crossing():
    return HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("rating", within=("student", "lecturer"))],
        {
            "mu": Latent(lambda: normal()),
            "tau_student": Latent(lambda: normal()),
            "tau_lecturer": Latent(lambda: normal()),
            "severity": Latent(lambda tau_student: normal(tau_student), "student"),
            "quality": Latent(lambda tau_lecturer: normal(tau_lecturer), "lecturer"),
            "service": Covariate("rating"),
            "score": Observed(
                lambda mu, severity, quality, service: normal(mu + severity + quality + service),
                "rating",
            ),
        },
    )


def full_crossing():
    return HierarchicalModel(
        [Plate("subject"), Plate("session"), Plate("vertex")],
        {
            "mu": Latent(lambda: normal()),
            "trait": Latent(lambda: normal(), "subject"),
            "drift": Latent(lambda: normal(), "session"),
            "loading": Latent(lambda mu: normal(mu), "vertex"),
            "signal": Observed(
                lambda trait, drift, loading: normal(trait + drift + loading),
                ("subject", "session", "vertex"),
            ),
        },
    )


def every_subset_of_three():
    """Each of the eight regions of three crossing plates holds a site."""
    subsets = [s for size in range(4) for s in combinations("abc", size)]
    sites = {f"on_{''.join(subset)}": Latent(lambda: normal(), subset) for subset in subsets}
    return HierarchicalModel([Plate(name) for name in "abc"], sites)


def equal_plates():
    """Two plates hold the same site, a third plate none."""
    return HierarchicalModel(
        [Plate("outer"), Plate("inner", within="outer"), Plate("empty")],
        {"x": Observed(lambda: normal(), "inner")},
    )


def no_plates():
    return HierarchicalModel([], {"x": Latent(lambda: normal())})


DESIGNS = [
    two_levels,
    three_levels,
    sparse_crossing,
    full_crossing,
    every_subset_of_three,
    equal_plates,
    no_plates,
]


def overlap(one, other, gap=0.0):
    return (
        one.left < other.right + gap
        and other.left < one.right + gap
        and one.bottom < other.top + gap
        and other.bottom < one.top + gap
    )


def encloses(outer, inner):
    return (
        outer.left < inner.left
        and inner.right < outer.right
        and outer.bottom < inner.bottom
        and inner.top < outer.top
    )


def laid_out(model):
    return arrange(
        model,
        widths={site: 0.3 + 0.08 * len(site) for site in model.sites},
        label_widths={plate: 0.8 + 0.07 * len(plate) for plate in model.plates},
    )


@pytest.fixture(scope="module", params=DESIGNS, ids=lambda design: design.__name__)
def drawn(request):
    model = request.param()
    return model, laid_out(model)


def test_no_two_nodes_overlap(drawn):
    _, layout = drawn
    assert not [
        (one, other)
        for one, other in combinations(layout.nodes, 2)
        if overlap(layout.nodes[one], layout.nodes[other], gap=GAP / 2)
    ]


def test_a_plate_encloses_its_own_sites_and_touches_no_other(drawn):
    model, layout = drawn
    for plate, box in layout.plates.items():
        for name, site in model.sites.items():
            if plate in model.plates.closure(site.plates):
                assert encloses(box, layout.nodes[name])
            else:
                assert not overlap(box, layout.nodes[name], gap=GAP / 2)


def test_the_plates_that_hold_a_site_are_drawn(drawn):
    model, layout = drawn
    closures = [model.plates.closure(site.plates) for site in model.sites.values()]
    assert layout.plates.keys() == frozenset().union(*closures)


def test_a_plate_lies_around_those_with_fewer_sites_and_overlaps_none_without_common_ones(drawn):
    model, layout = drawn
    sites = {
        plate: {n for n, s in model.sites.items() if plate in model.plates.closure(s.plates)}
        for plate in layout.plates
    }
    for one, other in permutations(layout.plates, 2):
        if sites[one] < sites[other] or other in model.plates.ancestors(one):
            assert encloses(layout.plates[other], layout.plates[one])
        if not sites[one] & sites[other]:
            assert not overlap(layout.plates[one], layout.plates[other])


def test_a_label_lies_in_its_plate_and_on_no_node_or_other_label(drawn):
    _, layout = drawn
    for plate, label in layout.labels.items():
        box = layout.plates[plate]
        assert box.left <= label.left + 1e-9  # a rounding error, where the label is as wide
        assert label.right <= box.right + 1e-9
        assert box.bottom == label.bottom
        assert not [node for node in layout.nodes.values() if overlap(label, node)]
    assert not [pair for pair in combinations(layout.labels.values(), 2) if overlap(*pair)]


def test_children_stand_below_their_parents(drawn):
    model, layout = drawn
    for name, site in model.sites.items():
        for parent in site.parents:
            assert layout.nodes[name].top < layout.nodes[parent].bottom


def test_the_layout_is_always_the_same():
    assert laid_out(no_plates()) == laid_out(no_plates())
    assert laid_out(equal_plates()) == laid_out(equal_plates())


def test_plates_that_no_rectangles_can_show_are_refused():
    """Of five boxes, one lies within the bounds of the four others."""
    sites = {"".join(four): Latent(lambda: normal(), four) for four in combinations("abcde", 4)}
    model = HierarchicalModel([Plate(name) for name in "abcde"], sites)
    with pytest.raises(ValueError, match=r"no rectangles for the plates \['a', 'b', 'c'"):
        model.graph()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("diagram") / "model.png"
    figure = three_levels().graph(path, cardinalities={"school": 2410, "lea": 131})
    return figure, path


def test_names_and_cardinalities_are_written(saved):
    figure, _ = saved
    texts = {text.get_text() for text in figure.axes[0].texts}
    assert texts == {*three_levels().sites, "lea (131)", "school (2,410)", "pupil"}


def test_all_is_on_the_page_and_every_name_within_its_node(saved):
    figure, _ = saved
    figure.draw_without_rendering()
    (axes,) = figure.axes
    shapes = {shape.get_gid(): shape.get_window_extent() for shape in axes.patches}
    names = {text.get_text(): text.get_window_extent() for text in axes.texts}
    for box in [*shapes.values(), *names.values()]:
        assert encloses_extent(figure.bbox, box)
    for site in three_levels().sites:
        assert encloses_extent(shapes[f"node-{site}"], names[site])


def encloses_extent(outer, inner):
    return outer.contains(*inner.min) and outer.contains(*inner.max)


def test_arrows_lead_from_parents_to_children(saved):
    figure, _ = saved
    gids = {shape.get_gid() for shape in figure.axes[0].patches}
    assert {gid for gid in gids if gid.startswith("arrow-")} == {
        f"arrow-{parent}-{child}"
        for child, site in three_levels().sites.items()
        for parent in site.parents
    }


def test_the_ending_gives_the_format(saved, tmp_path):
    _, png = saved
    assert png.read_bytes().startswith(b"\x89PNG")
    equal_plates().graph(str(tmp_path / "model.svg"))
    assert b"<svg" in (tmp_path / "model.svg").read_bytes()
    equal_plates().graph(tmp_path / "model.PDF")
    assert (tmp_path / "model.PDF").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize("name", ["model.doc", "model"])
def test_an_unknown_format_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"'{name}': matplotlib writes .*\.pdf, .*\.svg"):
        two_levels().graph(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_no_directory_is_created(tmp_path):
    with pytest.raises(FileNotFoundError):
        no_plates().graph(tmp_path / "missing" / "model.svg")


def test_a_cardinality_of_an_unknown_plate_is_refused():
    with pytest.raises(ValueError, match=r"\['groups'\].*plates are \['group', 'obs'\]"):
        two_levels().graph(cardinalities={"groups": 3})


def test_drawing_leaves_pyplot_and_the_settings_alone():
    def settings():  # the backend resolves itself as soon as it is looked at
        return {name: rcParams[name] for name in rcParams if name != "backend"}

    before = settings()
    no_plates().graph()
    assert settings() == before
    assert pyplot.get_fignums() == []


def test_without_matplotlib_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'pavi-torch\[plot\]'"):
        two_levels().graph()
