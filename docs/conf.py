"""How the documentation is built: `make docs`."""

from importlib.metadata import version as version_of

project = "pavi"
author = "The pavi authors"
version = release = version_of("pavi-torch")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "pavi"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
napoleon_google_docstring = True
# Docstrings write code in single backticks.
default_role = "code"
myst_enable_extensions = ["dollarmath"]
nitpicky = False
