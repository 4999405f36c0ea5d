"""The plate diagram of a model, drawn with matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pavi.core.layout import HEIGHT, Box, arrange
from pavi.files import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    from pavi.core.model import HierarchicalModel

NAME, CAPTION = 10.0, 8.5  # font sizes, in points, of sites and of plates
MARGIN = 0.12  # inches beside a text and around the diagram
INK, LINE = "black", 0.9


def draw(
    model: HierarchicalModel, path: Path | str | None, *, cardinalities: Mapping[str, int] | None
) -> Figure:
    """Draw the plate diagram: circles are random, boxes are not, grey is known.

    Args:
        model: The model.
        path: Where to save it, if anywhere; the ending gives the format.
        cardinalities: The number of rows of each plate, if known.

    Returns:
        The figure, which pyplot knows nothing of. Its fonts are those of matplotlib's settings.

    Raises:
        ImportError: Without matplotlib.
        ValueError: If matplotlib cannot write the format, a cardinality is of an unknown plate,
            or no arrangement of rectangles shows the plates rightly.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            "graph() needs matplotlib, which is optional: pip install 'pavi-torch[plot]'"
        ) from None

    figure = Figure()
    if path is not None:
        _check_format(Path(path), figure.canvas.get_supported_filetypes())
    captions = _captions(model, cardinalities or {})
    layout = arrange(
        model,
        widths={s: max(HEIGHT, _text_width(s, NAME) + 2 * MARGIN) for s in model.sites},
        label_widths={p: _text_width(c, CAPTION) + 2 * MARGIN for p, c in captions.items()},
    )
    page = _around([*layout.nodes.values(), *layout.plates.values()])
    figure.set_size_inches(page.right - page.left, page.top - page.bottom)
    axes = figure.add_axes((0, 0, 1, 1), xlim=page[:2], ylim=page[2:])
    axes.set_axis_off()
    for name, box in layout.plates.items():
        _draw_plate(axes, name, box, captions[name], layout.labels[name])
    nodes = {
        name: _draw_node(axes, name, box, model.sites[name].kind)
        for name, box in layout.nodes.items()
    }
    for child, site in model.sites.items():
        for parent in site.parents:
            ends = _centre(layout.nodes[parent]), _centre(layout.nodes[child])
            _draw_arrow(axes, f"{parent}-{child}", ends, nodes[parent], nodes[child])
    if path is not None:
        place = Path(path)
        with whole_file(place, binary=True) as stream:
            figure.savefig(stream, format=place.suffix.lower().removeprefix("."), dpi=200)
    return figure


def _draw_plate(axes: Axes, name: str, box: Box, caption: str, label: Box) -> None:
    from matplotlib.patches import FancyBboxPatch

    corner, width, height = (box.left, box.bottom), box.right - box.left, box.top - box.bottom
    patch = FancyBboxPatch(corner, width, height, "round,pad=0,rounding_size=0.1")
    patch.set(fill=False, edgecolor="0.4", linewidth=LINE, gid=f"plate-{name}")
    axes.add_patch(patch)
    x, side = label.left + MARGIN, "left"
    if label.right == box.right:
        x, side = label.right - MARGIN, "right"
    text = axes.text(x, _centre(label)[1], caption, size=CAPTION, color="0.3")
    text.set(ha=side, va="center", usetex=False)


def _draw_node(axes: Axes, name: str, box: Box, kind: str) -> Patch:
    from matplotlib.patches import Ellipse, Rectangle

    width, height = box.right - box.left, box.top - box.bottom
    patch: Patch = Ellipse(_centre(box), width, height)
    if kind == "covariate":
        patch = Rectangle((box.left, box.bottom + height / 8), width, height * 3 / 4)
    patch.set(facecolor="white" if kind == "latent" else "0.87", edgecolor=INK)
    patch.set(linewidth=LINE, zorder=3, gid=f"node-{name}")
    text = axes.text(*_centre(box), name, size=NAME, color=INK, zorder=4)
    text.set(ha="center", va="center_baseline", usetex=False)
    return axes.add_patch(patch)


def _draw_arrow(
    axes: Axes,
    name: str,
    ends: tuple[tuple[float, float], tuple[float, float]],
    parent: Patch,
    child: Patch,
) -> None:
    from matplotlib.patches import FancyArrowPatch

    style = "-|>,head_length=5,head_width=2.2"  # in points
    patch = FancyArrowPatch(*ends, arrowstyle=style, mutation_scale=1, shrinkA=0, shrinkB=1)
    patch.set(patchA=parent, patchB=child, color=INK, linewidth=LINE, zorder=2)
    patch.set_gid(f"arrow-{name}")
    axes.add_patch(patch)


def _check_format(path: Path, supported: Mapping[str, str]) -> None:
    if path.suffix.lower().removeprefix(".") not in supported:
        raise ValueError(
            f"cannot save a diagram as {path.name!r}: matplotlib writes "
            f"{', '.join(f'.{ending}' for ending in sorted(supported))}."
        )


def _captions(model: HierarchicalModel, cardinalities: Mapping[str, int]) -> dict[str, str]:
    if unknown := sorted(cardinalities.keys() - model.plates.keys()):
        raise ValueError(
            f"cardinalities name {unknown}, which are not plates; plates are {list(model.plates)}."
        )
    return {p: f"{p} ({cardinalities[p]:,})" if p in cardinalities else p for p in model.plates}


def _text_width(text: str, size: float) -> float:
    from matplotlib.textpath import TextPath

    points = TextPath((0, 0), text, size=size).get_extents().width
    return float(points) / 72


def _centre(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.bottom + box.top) / 2


def _around(boxes: list[Box]) -> Box:
    left, right, bottom, top = zip(*boxes, strict=True)
    return Box(min(left) - MARGIN, max(right) + MARGIN, min(bottom) - MARGIN, max(top) + MARGIN)
