"""The report: its replicates, its statistics, its numbers and what the file holds."""

from __future__ import annotations

import html
import re
import sys
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torch.distributions import Bernoulli, HalfNormal, Normal, Poisson

import pavi
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate
from pavi.diagnostics import Grade
from pavi.posterior.report.diagnostics_section import diagnostics_section
from pavi.posterior.report.numbers import aligned
from pavi.posterior.report.page import Cells, Section, render
from pavi.posterior.report.predictive import _Range, _Sums, predictive_checks
from pavi.posterior.report.predictive_section import predictive_section
from pavi.posterior.report.replicates import replicates
from pavi.posterior.report.statistic import Statistic

PARTS = [
    "Model",
    "Data",
    "Fit",
    "Globals",
    "Groups",
    "Predictive checks",
    "Diagnostics",
    "Provenance",
]


def ragged(likelihood, extra=None):
    return HierarchicalModel(
        [Plate("group"), Plate("obs", within="group")],
        {
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "v": Latent(lambda mu: Normal(mu, 1.0), "group", event_shape=(2,)),
            "z": Covariate("obs"),
            "y": Observed(likelihood, "obs"),
            **(extra or {}),
        },
    )


def fitted(model, arrays, *, steps=1, **options):
    links = {"obs": {"group": np.arange(len(arrays["y"])) % 4}}
    labels = {"group": ["a", "<b>&", "c", "d"]}
    data = pavi.PlateData.from_arrays(arrays, model, links=links, labels=labels, **options)
    return pavi.fit(model, data, steps=steps, progress=False)


@pytest.fixture(scope="module")
def posterior():
    draw = np.random.default_rng(0)
    model = ragged(lambda v, z: Normal(v[..., 0] + z, 1.0))
    return fitted(model, {"y": draw.normal(size=20), "z": draw.normal(size=20)}, steps=30)


def test_replicates_are_drawn_from_the_conditionals(posterior):
    """A likelihood of hardly any spread gives back its mean, which is that of the drawn latents."""
    model = ragged(lambda v, z: Normal(v[..., 0] + z, 1e-4))
    sharp = fitted(model, {"y": torch.zeros(12), "z": torch.arange(12.0)})
    (part,) = replicates(sharp, draws=5, seed=3)
    v = sharp.sample("v", draws=5, seed=3)[..., 0]
    expected = v[:, torch.arange(12) % 4] + torch.arange(12.0)
    torch.testing.assert_close(part.drawn["y"], expected, rtol=0, atol=1e-3)  # ten widths
    assert torch.equal(part.measured["y"], torch.zeros(12))


def test_an_observed_parent_is_drawn_again_with_its_children():
    extra = {"w": Observed(lambda y: Normal(y, 1e-4), "obs")}
    model = ragged(lambda v: Normal(v[..., 0], 1.0), extra)
    zeros = torch.zeros(8)
    chained = fitted(model, {"y": zeros, "z": zeros, "w": zeros})
    (part,) = replicates(chained, draws=3, seed=0)
    assert part.drawn["y"].abs().min() > 0
    torch.testing.assert_close(part.drawn["w"], part.drawn["y"], rtol=0, atol=1e-3)


def test_replicates_come_in_parts_with_all_rows_once(posterior):
    parts = list(replicates(posterior, draws=5, seed=0, budget=60))
    assert len(parts) > 1
    found = torch.cat([part.measured["y"] for part in parts])
    assert torch.equal(found.sort().values, posterior.data.values["y"].sort().values)
    assert {len(part.drawn["y"]) for part in parts} == {5}


def test_the_replicates_of_a_conjugate_posterior_have_its_predictive_moments():
    """One normal mean: given its exact posterior, replicates are N(m, s^2 + 1)."""
    model = HierarchicalModel(
        [Plate("obs")],
        {
            "mu": Latent(lambda: Normal(0.0, 1.0)),
            "y": Observed(lambda mu: Normal(mu, 1.0), "obs"),
        },
    )
    y = torch.linspace(0.0, 3.0, 9)
    data = pavi.PlateData.from_arrays({"y": y}, model)
    posterior = pavi.fit(model, data, steps=200, progress=False)
    (part,) = replicates(posterior, draws=4000, seed=0)
    mean, variance = float(y.sum() / 10), 1 / 10 + 1
    # 36,000 correlated draws; five standard errors of the mean, of 4,000 draws of mu.
    assert float(part.drawn["y"].mean()) == pytest.approx(mean, abs=5 * (0.1 / 4000) ** 0.5 + 0.01)
    assert float(part.drawn["y"].var()) == pytest.approx(variance, rel=0.03)


def test_sums_over_parts_are_those_of_the_whole():
    values = torch.randn(3, 40).double()
    about = _Range.of(values[0], None, whole=False)
    whole = _Sums.of(values, about)
    parts = _Sums.of(values[:, 11:], about) + _Sums.of(values[:, :11], about)
    for name, found in whole.statistics(about).items():
        np.testing.assert_allclose(parts.statistics(about)[name], found, rtol=1e-12)
    assert torch.equal(parts.bars, whole.bars)


def test_statistics_and_bars_are_those_of_numpy():
    values = (1e4 + torch.randn(2, 50)).double()
    about = _Range.of(values[0], None, whole=False)
    sums, found = _Sums.of(values, about), values.numpy()
    statistics = sums.statistics(about)
    np.testing.assert_allclose(statistics["mean"], found.mean(1), rtol=1e-12)
    np.testing.assert_allclose(statistics["standard deviation"], found.std(1), rtol=1e-9)
    np.testing.assert_array_equal(statistics["smallest value"], found.min(1))
    np.testing.assert_array_equal(statistics["largest value"], found.max(1))
    assert "share of zeros" not in statistics
    for row in range(2):
        expected, _ = np.histogram(found[row], about.edges.numpy())
        np.testing.assert_array_equal(sums.bars[row], expected)


def test_counts_have_a_bar_each_and_their_zeros_are_counted():
    values = torch.tensor([0.0, 0.0, 1.0, 4.0])
    about = _Range.of(values, None, whole=True)
    sums = _Sums.of(values.reshape(1, -1), about)
    assert about.edges.tolist() == [-1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]
    assert sums.bars.tolist() == [[0, 2, 1, 0, 0, 1, 0]]
    assert sums.statistics(about)["share of zeros"].tolist() == [0.5]


def test_rounded_values_of_a_continuous_model_have_a_bar_each_and_no_zeros():
    values = torch.tensor([0.0, 2.0, 2.0, 6.0])
    about = _Range.of(values, None, whole=False)
    assert about.edges.tolist() == [-3.0, -1.0, 1.0, 3.0, 5.0, 7.0, 9.0]
    sums = _Sums.of(values.reshape(1, -1), about)
    assert sums.bars.tolist() == [[0, 1, 2, 0, 1, 0]]
    assert "share of zeros" not in sums.statistics(about)


def test_a_constant_has_bars_too():
    about = _Range.of(torch.full((3,), 7.0), None, whole=False)
    assert about.edges[0] < 7.0 < about.edges[-1]


def test_missing_values_take_no_part():
    model = ragged(lambda v: Normal(v[..., 0], 1.0))
    y = np.where(np.arange(12) == 5, np.nan, np.arange(12.0))
    arrays = {"y": y, "z": np.zeros(12)}
    (check,) = predictive_checks(fitted(model, arrays, missing="ignore"), draws=4, seed=0)
    measured = {statistic.name: statistic.measured for statistic in check.statistics}
    assert measured["mean"] == pytest.approx(np.nanmean(y))


def test_ties_count_half():
    assert Statistic("t", 1.0, np.array([0.0, 1.0, 1.0, 2.0])).tail == 0.5


def test_a_wrong_likelihood_is_told_and_a_right_one_is_not():
    draw = np.random.default_rng(1)
    model = HierarchicalModel(
        [Plate("obs")],
        {
            "rate": Latent(lambda: HalfNormal(5.0)),
            "y": Observed(lambda rate: Poisson(rate), "obs"),
        },
    )
    rates = {"right": np.full(400, 3.0), "wrong": draw.gamma(0.5, 6.0, size=400)}
    verdicts = {}
    for name, rate in rates.items():
        data = pavi.PlateData.from_arrays({"y": draw.poisson(rate)}, model)
        posterior = pavi.fit(model, data, steps=120, progress=False)
        checks = predictive_checks(posterior, draws=200, seed=0)
        verdicts[name] = predictive_section(checks).blocks[-1]
    assert verdicts["right"] == "In these statistics the data are like the replicates."
    unlike = (
        "Unlike the replicates: the standard deviation of y; the largest value of y; the share of"
    )
    assert verdicts["wrong"].startswith(unlike)


@pytest.mark.parametrize(
    ("values", "spread", "texts"),
    [
        ([0.94834, 0.08347], 0.08347, ["0.948", "0.083"]),
        ([-1234.5, 12.0], 12.0, ["−1,234", "12"]),
        ([1234567.0], 1e4, ["1,234,567"]),
        ([-1e-9, 1.0], 1.0, ["0.0", "1.0"]),
        ([0.25], 0.0, ["0.25"]),
        ([float("nan"), 2.0], float("nan"), ["not finite", "2"]),
        ([1.0], 1e-12, ["1"]),
    ],
)
def test_decimals_follow_the_spread(values, spread, texts):
    assert aligned(values, spread=spread) == texts


class Page(HTMLParser):
    """The tags, headings and addresses of a page; fails where a tag is closed that is not open."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.addresses, self.cells = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "link", "img"):
            self.open.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if self.open and self.open[-1] in ("th", "td"):
            self.cells.append(data)


def test_a_report_holds_all_it_needs(posterior, tmp_path):
    path = tmp_path / "r.html"
    posterior.report(path, title="A & B", draws=50, provenance={"source": "<here>"})
    text = path.read_text()
    page = Page(text)
    assert page.open == []
    assert page.headings == PARTS
    assert all(address.startswith(("data:", "#")) for address in page.addresses)
    assert "url(" not in text
    assert "<h1>A &amp; B</h1>" in text
    assert {"<here>", "group <b>&", "float32", "30 steps in"} - set(page.cells) == {"30 steps in"}
    images = re.findall(r'src="data:image/(svg\+xml|png);base64,([^"]+)"', text)
    # The diagram, the course, two components of v, the check of y.
    assert len(images) == 5
    assert all(b64decode(image).lstrip().startswith(b"<?xml") for _, image in images)
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_the_same_fit_gives_the_same_images(posterior, tmp_path):
    images = []
    for name in ("one.html", "two.html"):
        posterior.report(tmp_path / name, draws=20)
        images.append(re.findall(r'src="(data:[^"]+)"', (tmp_path / name).read_text()))
    assert images[0] == images[1]


def test_the_numbers_of_the_globals_are_those_of_the_summary(posterior, tmp_path):
    posterior.report(tmp_path / "r.html", draws=50, seed=4)
    cells = Page((tmp_path / "r.html").read_text()).cells
    summary = posterior.summary("mu", draws=50, seed=4)
    expected = aligned(list(summary.rows("mu"))[0][1], spread=float(summary.sd["mu"]))
    start = cells.index("mu", cells.index("95%"))
    assert cells[start + 1 : start + 6] == expected


def test_a_posterior_without_data_leaves_out_what_needs_them(tmp_path):
    model = ragged(lambda v: Normal(v[..., 0], 1.0))
    posterior = fitted(model, {"y": torch.zeros(8), "z": torch.zeros(8)})
    posterior.save(tmp_path / "saved")
    pavi.Posterior.load(tmp_path / "saved", model).report(tmp_path / "r.html", draws=20)
    page = Page((tmp_path / "r.html").read_text())
    assert page.headings == ["Model", "Data", "Fit", "Globals", "Groups", "Provenance"]


def test_models_of_every_kind_have_a_report(tmp_path):
    model = HierarchicalModel(
        [Plate("student"), Plate("lecturer"), Plate("vote", within=("student", "lecturer"))],
        {
            "a": Latent(lambda: Normal(0.0, 1.0), "student"),
            "b": Latent(lambda: Normal(0.0, 1.0), "lecturer"),
            "y": Observed(lambda a, b: Bernoulli(logits=a + b), "vote"),
        },
    )
    simulation = model.simulate({"student": 5, "lecturer": 4, "vote": 30}, seed=0)
    data = pavi.PlateData.from_arrays(simulation.arrays, model, links=simulation.links)
    pavi.fit(model, data, steps=20, progress=False).report(tmp_path / "r.html", draws=20)
    page = Page((tmp_path / "r.html").read_text())
    assert page.headings == [part for part in PARTS if part != "Globals"]


def test_what_check_says_is_a_section(posterior):
    diagnosis = posterior.check(draws=200)
    section = diagnostics_section(diagnosis)
    assert [row[2] for row in section.blocks[0].rows] == [f.verdict for f in diagnosis.findings]
    assert section.blocks[1:] == [diagnosis.verdict, *diagnosis.advice]
    poor = {n for n, f in enumerate(diagnosis.findings) if f.grade is Grade.POOR}
    assert section.blocks[0].marked == poor


def test_a_report_and_a_check_agree(posterior, tmp_path):
    """However many draws the tables are computed from, the verdicts are those of `check()`."""
    posterior.report(tmp_path / "r.html", draws=20)
    text = (tmp_path / "r.html").read_text()
    found = posterior.check()
    assert "Judged by 1,000 draws." in found.verdict
    for line in (found.verdict, *found.advice):
        assert line in html.unescape(text)
    cells = Page(text).cells
    told = [cell for f in found.findings for cell in (f.check, f.value, f.verdict)]
    start = cells.index(told[0])
    assert cells[start : start + len(told)] == told


def test_a_report_without_checks_has_no_such_section(posterior, tmp_path):
    posterior.report(tmp_path / "r.html", draws=20, check=False)
    headings = Page((tmp_path / "r.html").read_text()).headings
    assert headings == [part for part in PARTS if part != "Diagnostics"]


def test_marked_rows_are_marked():
    table = Cells(("", "x"), [("one", "1"), ("two", "2")], marked=frozenset({1}))
    text = render(title="t", lead="l", sections=[Section("s", [table])])
    assert text.count('<tr class="marked">') == 1
    assert text.index("one") < text.index('<tr class="marked">') < text.index("two")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("r.pdf", r"a report is an HTML file; 'r.pdf' must end in .html"),
        ("d.html", r"d.html is a folder; name a file for the report"),
        ("no/r.html", r"cannot write .*no/r.html: there is no folder .*/no"),
    ],
)
def test_a_report_that_cannot_be_written_is_told(posterior, tmp_path, path, message):
    (tmp_path / "d.html").mkdir()
    with pytest.raises(ValueError, match=message):
        posterior.report(tmp_path / path)


def test_without_matplotlib_it_says_what_to_install(posterior, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"report\(\) needs matplotlib.*pavi-torch\[plot\]"):
        posterior.report(tmp_path / "r.html")
