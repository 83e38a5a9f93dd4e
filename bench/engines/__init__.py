"""The engines compared: each prepares a network and hands back a session that answers and times itself.

To add one: a file with ``prepare(network, threads) -> Session`` (raising ``EngineMissing`` where it is not installed)
and a line in ``ENGINES``.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

from bench.engines.session import EngineMissing, Network, Session, session_turns
from sparsenet.timing import DEVICE, PROCESS, WALL, Clock

#: (network, threads) → a session ready to run it. Raises EngineMissing where the engine is not installed.
Prepare = Callable[[Network, int], Session]


def _engine(module: str, function: str = "prepare") -> Prepare:
    """Imports the engine's file when it is first asked for: others may lack what that one needs."""

    def prepare(network: Network, threads: int) -> Session:
        try:
            found = importlib.import_module(f"bench.engines.{module}")
        except ModuleNotFoundError as error:
            raise EngineMissing(f"{error.name} is not installed: pip install {error.name}") from error
        session: Session = getattr(found, function)(network, threads)
        return session

    return prepare


ENGINES: dict[str, Prepare] = {
    "ours": _engine("ours", "prepare_sparse"),
    "dense": _engine("ours", "prepare_dense"),
    "cuda": _engine("ours", "prepare_cuda"),
    "cuda-dense": _engine("ours", "prepare_cuda_dense"),
    "ort": _engine("ort"),
    "deepsparse": _engine("deepsparse"),
    "openvino": _engine("openvino"),
    "torch": _engine("pytorch"),
    "numpy": _engine("matrices", "prepare_numpy"),
    "scipy": _engine("matrices", "prepare_scipy"),
}

ON_GPU = {"cuda", "cuda-dense"}

#: For people.
LABELS = {
    "ours": "ours, sparse",
    "dense": "ours, dense",
    "cuda": "ours on a GPU, sparse",
    "cuda-dense": "ours on a GPU, dense",
    "ort": "ONNX Runtime",
    "deepsparse": "DeepSparse",
    "openvino": "OpenVINO",
    "torch": "PyTorch eager",
    "numpy": "NumPy im2col",
    "scipy": "SciPy CSR im2col",
}


def session_clock(engines: Iterable[str], threads: int) -> Clock:
    """Processor time of the process with one thread, which need not be the caller; else the wall clock."""
    if ON_GPU.intersection(engines):
        return DEVICE
    return PROCESS if threads == 1 else WALL


__all__ = [
    "ENGINES",
    "LABELS",
    "EngineMissing",
    "Network",
    "Prepare",
    "Session",
    "session_clock",
    "session_turns",
]
