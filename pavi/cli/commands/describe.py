"""A model, and whether data fit it."""

from __future__ import annotations

from argparse import Namespace

from rich.console import Console
from rich.table import Table

from pavi.cli.arguments import data_file
from pavi.cli.columns import expected_columns
from pavi.cli.model_file import ModelFile
from pavi.core import HierarchicalModel


def run(given: Namespace) -> None:
    """Print a model, what columns it asks of data and, with data, whether they fit."""
    source = ModelFile.from_reference(given.model)
    data = None if given.csv is None else data_file(given).read(source.model)
    sizes = None if data is None else data.cardinalities
    source.model.describe(sizes)
    _describe_columns(source.model)
    if given.diagram is not None:
        source.model.graph(given.diagram, cardinalities=sizes)
    if data is not None:
        rows = ", ".join(f"{size:,} of {plate}" for plate, size in data.cardinalities.items())
        Console().print(f"{given.csv} fits the model. Rows: {rows or 'none'}.", soft_wrap=True)


def _describe_columns(model: HierarchicalModel) -> None:
    table = Table(title="columns of the data", title_justify="left")
    for heading in ("column", "holds", "needed"):
        table.add_column(heading)
    for column in expected_columns(model):
        table.add_row(column.name, column.holds, "yes" if column.required else "no")
    Console().print(table)
