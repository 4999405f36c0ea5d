"""A public function that raises an error says so, or names the one that says it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PAVI = Path(__file__).parents[2] / "pavi"
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
TOLD = re.compile(r"^ *Raises:|[Ss]ee `\w+", re.MULTILINE)
# Signals that somebody else takes, and mistakes of our own.
NOT_FOR_USERS = {"StopIteration", "AssertionError"}


def public(body: list[ast.stmt], names: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods that users may call, by their dotted names."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            name = f"{names}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, name)
            else:
                yield name, node


def raises(node: ast.AST) -> bool:
    """Whether an error leaves a function by a `raise` that stands in it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, SCOPES):
            continue
        if isinstance(child, ast.Try) and any(
            isinstance(handler.type, ast.Name) and handler.type.id == "Exception"
            for handler in child.handlers
        ):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            called = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            if ast.unparse(called) not in NOT_FOR_USERS:
                return True
        if raises(child):
            return True
    return False


def test_who_raises_says_so():
    silent = [
        name
        for path in sorted(PAVI.rglob("*.py"))
        for name, node in public(ast.parse(path.read_text()).body, str(path.relative_to(PAVI)))
        if raises(node) and not TOLD.search(ast.get_docstring(node) or "")
    ]
    assert silent == []
