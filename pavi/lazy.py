"""Names of a package that are imported when they are asked for.

Torch takes a second to import and Lightning two more, which a program that only shows its help, or
a model, need not wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any


def lazy(
    package: str, homes: Mapping[str, Sequence[str]], *, modules: Sequence[str] = ()
) -> Callable[[str], Any]:
    """The `__getattr__` of a package, as PEP 562 has it.

    No name of `homes` may be that of a submodule: importing the submodule would take its place.

    Args:
        package: Its `__name__`.
        homes: Per module, the names that are imported from it.
        modules: Submodules that can be reached without being imported first.
    """
    found = {name: home for home, names in homes.items() for name in names}

    def find(name: str) -> Any:
        if name in modules:
            return import_module(f"{package}.{name}")
        if name not in found:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(found[name]), name)

    return find
