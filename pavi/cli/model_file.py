"""Models that stand in a Python file."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any, final

from pavi.core import HierarchicalModel

MODULE = "pavi_model_file"  # what the file is called while it runs


@final
@dataclass(frozen=True)
class ModelFile:
    """A model with the file that it was read from.

    Args:
        model: The template.
        path: The file.
        name: What the model is called in it.
        source: The text of the file.
    """

    model: HierarchicalModel
    path: Path
    name: str
    source: bytes

    @property
    def digest(self) -> str:
        """The SHA-256 of the text."""
        return sha256(self.source).hexdigest()

    @classmethod
    def from_reference(cls, reference: str) -> ModelFile:
        """Read `FILE:NAME`, as `model.py:schools`.

        Raises:
            ValueError: If there is no such file or no such model in it, or the file fails.
        """
        file, colon, name = reference.rpartition(":")
        if not colon or not name.isidentifier():
            path = Path(reference.rstrip(":"))
            _check_file(path)
            if path.suffix != ".py":
                raise ValueError(
                    f"{path} is no Python file; the model comes first, as FILE.py:NAME, and then "
                    "the data."
                )
            found = _models(_run(path, path.read_bytes(), folder=path.resolve().parent))
            choices = " or ".join(f"{path}:{each}" for each in found)
            hint = f"write {choices}" if found else f"but {path} defines no HierarchicalModel"
            raise ValueError(f"a model is named by its file and its name, FILE:NAME; {hint}.")
        return cls.read(Path(file), name)

    @classmethod
    def read(cls, path: Path, name: str, *, folder: Path | None = None) -> ModelFile:
        """Read a model from a file.

        Args:
            path: The file.
            name: What the model is called in it.
            folder: Where the file imports its neighbours from; its own folder by default.

        Raises:
            ValueError: As `from_reference`.
        """
        _check_file(path)
        source = path.read_bytes()
        module = _run(path, source, folder=folder or path.resolve().parent)
        found = _models(module)
        listed = f"its models are {found}" if found else "it defines no HierarchicalModel"
        if name not in vars(module):
            raise ValueError(f"{path} defines no {name!r}; {listed}.")
        value = vars(module)[name]
        if not isinstance(value, HierarchicalModel):
            hint = f"; write {name} = {name}(...) for what it returns" if callable(value) else ""
            raise ValueError(
                f"{name!r} of {path} is a {type(value).__name__} and no HierarchicalModel"
                f"{hint}; {listed}."
            )
        return cls(value, path, name, source)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise ValueError(f"{path} is a folder; a model stands in a Python file.")
    if not path.is_file():
        raise ValueError(f"there is no file {path} in {Path.cwd()}.")


def _models(module: ModuleType) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, HierarchicalModel)]


def _run(path: Path, source: bytes, *, folder: Path) -> ModuleType:
    """The module of a file; what goes wrong in it is told with the line."""
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    try:
        code = compile(source, str(path), "exec")
        with _importable(module, folder):
            exec(code, vars(module))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}.") from error
    except ModuleNotFoundError as error:
        raise ValueError(
            f"{path}, {_where(path, error)}: there is no module {error.name!r}; install it, or "
            f"put {error.name}.py into {folder}."
        ) from error
    except (Exception, SystemExit) as error:
        raise ValueError(f"{path}, {_where(path, error)}: {_told(error)}") from error
    return module


def _told(error: BaseException) -> str:
    """An error in words; those of this library already are."""
    if isinstance(error, ValueError) and str(error):
        return str(error)
    if isinstance(error, SystemExit):
        return "the file ends the program; a model file only defines models."
    return f"{type(error).__name__}: {error}"


def _where(path: Path, error: BaseException) -> str:
    """The last line of the file that the error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"line {lines[-1]}" if lines else "while it was read"


@contextmanager
def _importable(module: ModuleType, folder: Path) -> Iterator[None]:
    """Let the file find its neighbours, and dataclasses their module, while it runs."""
    before: Any = sys.modules.get(MODULE)
    sys.modules[MODULE] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        del sys.modules[MODULE]
        if before is not None:
            sys.modules[MODULE] = before
