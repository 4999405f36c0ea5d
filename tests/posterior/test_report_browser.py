"""The report in a real browser: nothing is fetched, nothing complains, nothing is too wide."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from torch.distributions import HalfNormal, Normal

import pavi
from experiments.report_pictures import (
    BROWSERS,
    WINDOWS,
    installed_browser,
    opened_browser,
    photograph,
)
from pavi import Covariate, HierarchicalModel, Latent, Observed, Plate

PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with long names, wide tables and a vector."""
    draw = np.random.default_rng(0)
    model = HierarchicalModel(
        [Plate("local_authority"), Plate("school", within="local_authority"),
         Plate("pupil", within="school")],
        {
            "intercept_of_the_regression": Latent(lambda: Normal(0.0, 5.0)),
            "tau": Latent(lambda: HalfNormal(2.0)),
            "effect": Latent(lambda tau: Normal(0.0, tau), "local_authority", event_shape=(2,)),
            "school_effect": Latent(lambda effect: Normal(effect[..., 0], 1.0), "school"),
            "gcse": Covariate("pupil"),
            "score": Observed(
                lambda intercept_of_the_regression, school_effect, gcse: Normal(
                    intercept_of_the_regression + school_effect + gcse, 1.0
                ),
                "pupil",
            ),
        },
    )  # fmt: skip
    sizes = {"local_authority": 8, "school": 400, "pupil": 1200}
    simulation = model.simulate(sizes, seed=0)
    names = [f"School of a rather long name, number {i}" for i in range(400)]
    data = pavi.PlateData.from_arrays(
        {**simulation.arrays, "gcse": 1e5 * draw.normal(size=1200)},
        model,
        links=simulation.links,
        labels={"school": names},
    )
    posterior = pavi.fit(model, data, steps=20, progress=False)
    path = tmp_path_factory.mktemp("report") / "report.html"
    lines = {"a file": "/a/path/" + 30 * "that_is_long" + ".py", "command": 40 * "many words "}
    posterior.report(path, draws=50, title="A title of many words " * 4, provenance=lines)
    return path


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = installed_browser()
    if found is None:
        pytest.skip(f"no browser is installed; looked for {', '.join(BROWSERS)}")
    with opened_browser(found) as opened:
        yield opened


@pytest.fixture(params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def page(request, browser, report):
    width, height = request.param
    opened = browser.new_page(viewport={"width": width, "height": height})
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(report.as_uri())
    yield opened
    opened.close()


def test_nothing_is_fetched_and_nothing_complains(page, report):
    asked = [url for url in page.asked if not url.startswith("data:")]
    assert asked == [report.as_uri()]
    assert page.said == []


def test_every_image_is_drawn(page):
    sizes = page.evaluate("[...document.images].map(i => [i.complete, i.naturalWidth])")
    assert len(sizes) >= 6
    assert all(complete and width > 0 for complete, width in sizes)


def test_the_page_is_not_wider_than_the_window(page):
    width = page.viewport_size["width"]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    sticking_out = page.evaluate(
        "[...document.querySelectorAll('h1, h2, p, img, figure, nav, .scroll')]"
        ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5).map(e => e.outerHTML)"
    )
    assert sticking_out == []


def test_wide_tables_scroll_on_their_own(browser, report):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(report.as_uri())
    scrolled = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
        ".map(e => { e.scrollLeft = 1000; return e.scrollLeft > 0 })"
    )
    widest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('tbody th')].map(e => e.offsetWidth))"
    )
    page.close()
    assert scrolled
    assert all(scrolled)
    # The first column stays where it is, and must leave room for the others.
    assert widest <= 390 / 2


def test_links_lead_to_the_sections(page):
    missing = page.evaluate(
        "[...document.querySelectorAll('nav a')]"
        ".filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert missing == 0


def test_texts_are_large_enough_to_read(page):
    """Twelve pixels or more, on a phone too."""
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, td, th, figcaption, a, pre')]"
        ".map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes) >= 12


def test_a_whole_report_is_photographed(report, browser, tmp_path):
    photograph(report, tmp_path, browser=browser)
    for name, (width, scale) in WINDOWS.items():
        head = (tmp_path / f"{name}.png").read_bytes()[:24]
        across, down = struct.unpack(">II", head[16:])
        assert across == width * scale
        assert down > 900 * scale
