"""Every file of pavi and of the experiments is written as a whole or not at all."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Functions that write to the path that they are given.
WRITERS = {"write_text", "write_bytes", "savefig", "to_csv", "save_file", "save", "savez", "dump"}
# What may be written as one likes: it takes its place, or is removed, at the end of the block.
SAFE = {"whole_file", "whole_folder", "TemporaryDirectory"}
# Of these names, those that only hand on to such a block, or write to a stream.
HANDED_ON = {
    "pavi/posterior/report/page.py: figure.savefig(stream, format='svg', metadata={'Date': None})",
    "pavi/posterior/report/page.py: figure.savefig(stream, format='png', dpi=DPI)",
    "experiments/figures.py: figure.savefig(drawn, format=form, dpi=dpi)",
    "experiments/run.py: posterior.save(prepared.folder.posterior)",
    "pavi/training/sharded_files.py: torch.save(common, fresh / COMMON)",
    "pavi/training/manifest.py: (folder / MANIFEST).write_text(f'{text}\\n')",
}
# Locks and logs, which are files that grow.
GROWING = {
    "experiments/folder_lock.py: (folder / LOCK).open('w')",
    "experiments/programs.py: log.open('ab')",
}


def called(node: ast.expr) -> str:
    """The last name of what is called."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def mode(call: ast.Call) -> str:
    """The mode of an `open`, whose place is the first for a method and the second otherwise."""
    place = 0 if isinstance(call.func, ast.Attribute) else 1
    given = call.args[place : place + 1] + [k.value for k in call.keywords if k.arg == "mode"]
    return given[0].value if given and isinstance(given[0], ast.Constant) else "r"


def writes(node: ast.AST, *, safe: bool = False) -> list[str]:
    """The calls below `node` that write to a path."""
    found = []
    if isinstance(node, ast.With):
        safe = safe or any(called(item.context_expr) in SAFE for item in node.items)
    if isinstance(node, ast.Call) and not safe:
        name, method = called(node), isinstance(node.func, ast.Attribute)
        if (name in WRITERS and method and node.args) or name == "save_file":
            found.append(ast.unparse(node))
        if name == "open" and set(str(mode(node))) & set("wxa+"):
            found.append(ast.unparse(node))
    for child in ast.iter_child_nodes(node):
        found += writes(child, safe=safe)
    return found


def test_nothing_else_writes_files():
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {call}"
        for folder in ("pavi", "experiments")
        for path in (ROOT / folder).rglob("*.py")
        if not path.is_relative_to(ROOT / "pavi" / "files")
        for call in writes(ast.parse(path.read_text()))
    }
    assert found <= HANDED_ON | GROWING, "\n".join(sorted(found - HANDED_ON - GROWING))


@pytest.mark.parametrize(
    "planted",
    [
        "path.write_text(text)",
        "open(path, 'w')",
        "path.open(mode='ab')",
        "torch.save(state, path)",
        "with open(path) as f:\n    save_file(tensors, other)",
    ],
)
def test_a_planted_write_is_found(planted):
    assert len(writes(ast.parse(planted))) == 1


@pytest.mark.parametrize(
    "planted", ["path.open()", "with whole_folder(path) as f:\n    (f / 'x').write_text(text)"]
)
def test_reading_and_writing_as_a_whole_are_not(planted):
    assert writes(ast.parse(planted)) == []
