"""sparsenet: a framework-free inference engine for sparse convolutional networks.

The names below are imported when they are first used, so that ``sparsenet --help`` does not wait for the compiler.
"""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparsenet.c_library.write import compile_c
    from sparsenet.engine import Engine, load
    from sparsenet.graph import Graph, Node, TensorInfo
    from sparsenet.io.model_file import load_graph, save
    from sparsenet.targets.c99.export import export_c

__version__ = "0.1.0"
__all__ = [
    "Engine",
    "Graph",
    "Node",
    "TensorInfo",
    "__version__",
    "compile_c",
    "export_c",
    "load",
    "load_graph",
    "save",
]

_MODULES = {
    "Engine": "engine",
    "compile_c": "c_library.write",
    "export_c": "targets.c99.export",
    "load": "engine",
    "Graph": "graph",
    "Node": "graph",
    "TensorInfo": "graph",
    "load_graph": "io.model_file",
    "save": "io.model_file",
}


_seconds: list[float] = []


def import_seconds() -> float:
    """Seconds that the imports behind the names above have taken."""
    return sum(_seconds)


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'sparsenet' has no attribute '{name}'")
    start = time.perf_counter()
    value = getattr(importlib.import_module(f"sparsenet.{_MODULES[name]}"), name)
    _seconds.append(time.perf_counter() - start)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _MODULES.keys())
