"""The pictures of a report in `docs/`, of the fit of the demo.

python -m experiments.report_pictures
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from experiments.config_file import load
from experiments.demo import CONFIG, fit
from experiments.figures import save_with_palette
from experiments.provenance import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Per picture the width of the window, and pixels of the picture per pixel of the page.
WINDOWS = {"report_desktop": (880, 1.0), "report_phone": (390, 1.5)}

COLORS = 256  # of a picture, which has a third of the bytes with so few


def installed_browser() -> str | None:
    """Where a Chromium is, if there is one."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


@contextmanager
def opened_browser(executable: str) -> Iterator[Browser]:
    """A Chromium without a window.

    Args:
        executable: Where it is.

    Raises:
        ImportError: Without playwright, which the extra `dev` brings.
    """
    from playwright.sync_api import sync_playwright

    with sync_playwright() as running:
        # A browser run by root, as in containers, has no sandbox.
        browser = running.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()


def photograph(report: Path, out: Path, *, browser: Browser) -> None:
    """Write a picture of a whole report for every window.

    Args:
        report: The HTML file.
        out: A folder.
        browser: An open one.
    """
    for name, (width, scale) in WINDOWS.items():
        page = browser.new_page(
            viewport={"width": width, "height": 900}, device_scale_factor=scale
        )
        page.goto(report.absolute().as_uri())
        drawn = io.BytesIO(page.screenshot(full_page=True))
        save_with_palette(drawn, out / f"{name}.png", colors=COLORS)
        page.close()


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit, report and photograph."""
    parser = argparse.ArgumentParser(prog="python -m experiments.report_pictures")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="a folder")
    given = parser.parse_args(arguments)
    executable = installed_browser()
    if executable is None:
        parser.error(f"no browser is installed; looked for {', '.join(BROWSERS)}.")
    posterior = fit(load(CONFIG))
    with TemporaryDirectory() as folder, opened_browser(executable) as browser:
        report = Path(folder) / "report.html"
        posterior.report(report, title="Chem97: A-level scores in chemistry")
        photograph(report, given.out, browser=browser)


if __name__ == "__main__":
    main()
