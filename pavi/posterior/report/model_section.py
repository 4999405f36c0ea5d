"""The part of a report that shows the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pavi.core.supports import in_words
from pavi.posterior.report.page import Cells, Section, embedded

if TYPE_CHECKING:
    from pavi.posterior.posterior import Posterior

PIXELS = 110  # of the page per inch of the diagram, whose texts are small


def model_section(posterior: Posterior) -> Section:
    """The plate diagram and a table of the sites."""
    model = posterior.model
    vectors = any(site.event_shape for site in model.sites.values())
    figure = model.graph(cardinalities=posterior.data.cardinalities)
    diagram = embedded(
        figure,
        alt=f"Plate diagram of the sites {', '.join(model.sites)}.",
        caption="Circles are random and boxes are covariates; grey is measured. A frame repeats "
        "what lies in it, as often as its corner says.",
        width=round(PIXELS * figure.get_figwidth()),
    )
    rows = [
        (
            name,
            site.kind,
            ", ".join(site.plates),
            *([" x ".join(map(str, site.event_shape))] if vectors else []),
            ", ".join(site.parents),
            in_words(model.supports.get(name)),
        )
        for name, site in model.sites.items()
    ]
    columns = ["site", "kind", "plates", *["event"] * vectors, "depends on", "support"]
    return Section("Model", [diagram, Cells(columns, rows, texts=len(columns))])
