"""What a report consists of, and how it becomes HTML."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from typing import TYPE_CHECKING, final

from jinja2 import Environment, StrictUndefined

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 200  # of figures with more marks than a vector image should hold


@final
@dataclass(frozen=True)
class Cells:
    """A table.

    Args:
        columns: Its headings, empty texts for none; the first column names the rows.
        rows: As texts, one per column.
        caption: What stands above it.
        texts: How many columns from the left hold words; the others hold numbers.
        marked: The numbers of the rows to draw attention to.
        prose: Whether cells hold sentences, which break into lines rather than scroll.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    texts: int = 1
    marked: frozenset[int] = frozenset()
    prose: bool = False


@final
@dataclass(frozen=True)
class Image:
    """A picture.

    Args:
        source: A data URI.
        alt: What it shows, for those who cannot see it.
        caption: What stands below it.
        width: In CSS pixels, where the page is wide enough.
    """

    source: str
    alt: str
    caption: str = ""
    width: int = 560


@final
@dataclass(frozen=True)
class Verbatim:
    """Lines of fixed width.

    Args:
        text: The lines.
    """

    text: str


Block = Cells | Image | Verbatim | str


@final
@dataclass(frozen=True)
class Section:
    """A part of a report with a heading.

    Args:
        title: The heading.
        blocks: Paragraphs, tables, images and fixed lines, from top to bottom.
    """

    title: str
    blocks: Sequence[Block]

    @property
    def anchor(self) -> str:
        """What a link to it is called."""
        return self.title.lower().replace(" ", "-")


def embedded(
    figure: Figure, *, alt: str, caption: str = "", vector: bool = True, width: int = 560
) -> Image:
    """A figure as an image that the page holds itself.

    Args:
        figure: Of matplotlib.
        alt: What it shows.
        caption: What stands below it.
        vector: Whether as SVG, otherwise as PNG.
        width: In CSS pixels.
    """
    stream = BytesIO()
    if vector:
        figure.savefig(stream, format="svg", metadata={"Date": None})
    else:
        figure.savefig(stream, format="png", dpi=DPI)
    kind = "svg+xml" if vector else "png"
    source = f"data:image/{kind};base64,{b64encode(stream.getvalue()).decode()}"
    return Image(source, alt, caption, width)


def render(*, title: str, lead: str, sections: Sequence[Section]) -> str:
    """The HTML of a report; it needs nothing besides.

    Args:
        title: The heading of the page.
        lead: What stands below it.
        sections: From top to bottom.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.tests.update(
        cells=lambda block: isinstance(block, Cells),
        image=lambda block: isinstance(block, Image),
        verbatim=lambda block: isinstance(block, Verbatim),
    )
    folder = files("pavi.posterior.report")
    page = environment.from_string(folder.joinpath("page.html").read_text(encoding="utf-8"))
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    return page.render(title=title, lead=lead, sections=sections, style=style)
