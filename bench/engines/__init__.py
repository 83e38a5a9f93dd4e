"""The engines compared: each prepares a network and hands back a session that answers and times itself.

To add one: a file with ``prepare(network, threads) -> Session`` (raising ``EngineMissing`` where it is not installed)
and a line in ``ENGINES``.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.engines import deepsparse, ort, ours, pytorch
from bench.engines.session import EngineMissing, Network, Session

Prepare = Callable[[Network, int], Session]

ENGINES: dict[str, Prepare] = {
    "ours": ours.prepare_sparse,
    "dense": ours.prepare_dense,
    "ort": ort.prepare,
    "deepsparse": deepsparse.prepare,
    "torch": pytorch.prepare,
}

__all__ = ["ENGINES", "EngineMissing", "Network", "Prepare", "Session"]
