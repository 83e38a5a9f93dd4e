"""The engines compared: each prepares a network and hands back a session that answers and times itself.

To add one: a file with ``prepare(network, threads) -> Session`` (raising ``EngineMissing`` where it is not installed)
and a line in ``ENGINES``.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.engines import deepsparse, matrices, openvino, ort, ours, pytorch
from bench.engines.session import EngineMissing, Network, Session

Prepare = Callable[[Network, int], Session]

ENGINES: dict[str, Prepare] = {
    "ours": ours.prepare_sparse,
    "dense": ours.prepare_dense,
    "ort": ort.prepare,
    "deepsparse": deepsparse.prepare,
    "openvino": openvino.prepare,
    "torch": pytorch.prepare,
    "numpy": matrices.prepare_numpy,
    "scipy": matrices.prepare_scipy,
}

#: For people.
LABELS = {
    "ours": "ours, sparse",
    "dense": "ours, dense",
    "ort": "ONNX Runtime",
    "deepsparse": "DeepSparse",
    "openvino": "OpenVINO",
    "torch": "PyTorch eager",
    "numpy": "NumPy im2col",
    "scipy": "SciPy CSR im2col",
}

__all__ = ["ENGINES", "LABELS", "EngineMissing", "Network", "Prepare", "Session"]
