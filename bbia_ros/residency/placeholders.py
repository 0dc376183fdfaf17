"""Imports libraries without what they only mention: for engines, in their worker."""

from __future__ import annotations

import contextlib
import importlib.machinery
import sys
import types
from collections.abc import Iterator


class _Placeholder(types.ModuleType):
    """Stands in for a module during an import; every public name of it is `object`, so that it may be a base class."""

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return object


@contextlib.contextmanager
def placeholders(*names: str) -> Iterator[None]:
    """While it lasts, empty modules stand in for these, where they are not loaded already.

    For what a library imports for functions that nobody here calls (drawing, decoding files, progress bars). They are
    taken away again, so that others can import the real ones; what was imported meanwhile keeps the empty ones.

    Args:
        names: full names, a package before its modules.
    """
    stand_ins: dict[str, types.ModuleType] = {}
    for name in names:
        if name in sys.modules:
            continue
        module: types.ModuleType = _Placeholder(name)
        stand_ins[name] = module
        module.__path__ = []  # a package, so that its modules are asked for, and found here
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
        parent, _, child = name.rpartition(".")
        if parent in stand_ins:
            setattr(stand_ins[parent], child, module)
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name, stand_in in stand_ins.items():
            if sys.modules.get(name) is stand_in:
                del sys.modules[name]
