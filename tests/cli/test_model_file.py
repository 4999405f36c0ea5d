"""Model files, and what is wrong with them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pavi.cli.model_file import ModelFile

SMALL = """\
from pavi import HierarchicalModel, Latent
from torch.distributions import Normal
one = HierarchicalModel([], {"x": Latent(lambda: Normal(0.0, 1.0))})
"""


def test_a_model_is_read_with_its_source(folder):
    found = ModelFile.from_reference("model.py:schools")
    assert found.model.latents == ("mu", "beta", "tau", "sigma", "b")
    assert found.source == Path("model.py").read_bytes()
    assert (found.path, found.name) == (Path("model.py"), "schools")


def test_a_model_file_may_use_its_neighbours_and_dataclasses(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "neighbour_of_it.py").write_text("WIDTH = 3.0\n")
    (folder / "sub" / "m.py").write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from neighbour_of_it import WIDTH\n"
        "@dataclass\nclass Settings:\n    width: float = WIDTH\n" + SMALL.replace("1.0", "WIDTH")
    )
    path, modules = list(sys.path), set(sys.modules)
    assert ModelFile.from_reference("sub/m.py:one").model.latents == ("x",)
    assert sys.path == path
    assert set(sys.modules) - modules == {"neighbour_of_it"}
    del sys.modules["neighbour_of_it"]


@pytest.mark.parametrize(
    ("reference", "text", "message"),
    [
        ("absent.py:m", None, r"there is no file absent.py in /"),
        (".:m", None, r"\. is a folder; a model stands in a Python file"),
        ("m.py", SMALL, r"a model is named by its file and its name, FILE:NAME; write m.py:one\."),
        ("m.py:", SMALL, r"FILE:NAME; write m.py:one\."),
        ("m.py", "x = 1\n", r"FILE:NAME; but m.py defines no HierarchicalModel"),
        ("data.csv", "a,b\n1,2\n", r"data.csv is no Python file; the model comes first, as FILE.py:NA"),
        ("m.py:two", SMALL, r"m.py defines no 'two'; its models are \['one'\]"),
        ("m.py:two", "x = 1\n", r"m.py defines no 'two'; it defines no HierarchicalModel"),
        ("m.py:two", SMALL + "two = 3\n", r"'two' of m.py is a int and no HierarchicalModel; its"),
        ("m.py:f", SMALL + "def f():\n    return one\n",
         r"'f' of m.py is a function and no HierarchicalModel; write f = f\(\.\.\.\) for what it"),
        ("m.py:m", "import torch\nx = (1,\n", r"m.py, line 2: '\(' was never closed"),
        ("m.py:m", "import no_such_module_at_all\n",
         r"m.py, line 1: there is no module 'no_such_module_at_all'; install it, or put "
         r"no_such_module_at_all.py into /"),
        ("m.py:m", "from torch import no_such_name\n",
         r"m.py, line 1: ImportError: cannot import name 'no_such_name' from 'torch'"),
        ("m.py:m", "x = 1\ny = 1 / 0\n", r"m.py, line 2: ZeroDivisionError: division by zero"),
        ("m.py:m", "\n\nimport sys\nsys.exit(3)\n", r"m.py, line 4: the file ends the program"),
        ("m.py:one", SMALL.replace("lambda:", "lambda y:"),
         r"m.py, line 3: site 'x' has the parent 'y', which does not exist; sites are \['x'\]"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_model_file_is_told(folder, reference, text, message):
    if text is not None:
        (folder / "m.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        ModelFile.from_reference(reference)
