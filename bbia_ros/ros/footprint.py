"""What keeps a process with nodes small. docs/memory-tuning.md has the figures."""

from __future__ import annotations

import importlib
import sys

GENERATOR = "rosidl_generator_py.generate_py_impl"


def leave_out_code_generator() -> None:
    """Imports `rosidl_generator_py`, which every message class needs, without the generator of message classes.

    Its package imports the generator with its template engine and two parsers, 60 modules and 4 MB, for programs that
    build messages; it does without where they cannot be imported. Who needs the generator can still import it by its
    own name. To be called before the first publisher, subscription or service is made.
    """
    package = GENERATOR.partition(".")[0]
    if package in sys.modules or GENERATOR in sys.modules:
        return
    sys.modules[GENERATOR] = None  # type: ignore[assignment]  # Python's way to say "cannot be imported"
    try:
        importlib.import_module(package)
    except ImportError:
        pass  # this distribution's cannot do without it: it is imported whole when it is needed
    finally:
        del sys.modules[GENERATOR]
