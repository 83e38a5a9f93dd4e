"""How an engine travels to a copy of itself, in this process or another: as what it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparsenet.engine_options import EngineOptions
from sparsenet.graph.kept_graph import KeptGraph

if TYPE_CHECKING:
    from sparsenet.engine import Engine


def restore(
    kind: type[Engine], source: KeptGraph | Path, options: EngineOptions, metadata: dict[str, str]
) -> Engine:
    """An engine of class ``kind`` with a plan made here.

    Args:
        source: its graph, or the folder of its bundle.
        options: as they were asked for: ``threads=None`` means the CPUs of the process that is asked now.
        metadata: as the engine had them, in the end.

    Raises:
        SparsenetError: as ``Engine`` and ``load``: no GPU here where one was asked for, no bundle at that path, ...
    """
    if isinstance(source, KeptGraph):
        engine = kind.__new__(kind)
        engine._begin(source, options, source.graph())
    else:
        from sparsenet.engine import load

        engine = load(source, options.threads, sparse=options.sparse)
    engine.metadata = dict(metadata)
    return engine
