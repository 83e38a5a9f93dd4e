"""The engines compared: each prepares a network and hands back a session that answers and times itself.

To add one: a file with ``prepare(network, threads) -> Session`` (raising ``EngineMissing`` where it is not installed)
and a line in ``ENGINES``; in another package, an ``Entry``, to which an entry point of the group ``sparsenet.engines``
leads.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bench.engines.session import EngineMissing, Network, Session, session_turns
from sparsenet.checks import shown
from sparsenet.entry_points import OpenTable
from sparsenet.errors import SparsenetError
from sparsenet.timing import DEVICE, PROCESS, WALL, Clock

#: (network, threads) → a session ready to run it. Raises EngineMissing where the engine is not installed.
Prepare = Callable[[Network, int], Session]
#: What an engine computes in, where it can: layers that have no kernel for it run in a wider type.
Precision = Literal["f32", "bf16", "int8"]


@dataclass(frozen=True)
class Entry:
    """An engine that may be asked for.

    Attributes:
        label: for people.
        prepare: makes a session.
        package: that must be importable, or "" if this project brings all it needs.
        precision: decides how closely its outputs must follow those of float32.
        ours: whether it is this project's.
        on_gpu: whether it runs on a GPU.
    """

    label: str
    prepare: Prepare
    package: str = ""
    precision: Precision = "f32"
    ours: bool = False
    on_gpu: bool = False


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


class Engines(OpenTable[Entry]):
    """Engines by name: those of this package, and those that installed ones bring."""

    def made(self, name: str, found: Any) -> Entry:
        """What was found; SparsenetError unless it is an ``Entry``."""
        if not isinstance(found, Entry):
            raise SparsenetError(
                f"the entry point '{name}' of {self.group} leads to {shown(found)}, not to a bench.engines.Entry"
            )
        return found


_ENTRIES = {
    "ours": Entry("ours, sparse", _engine("ours", "prepare_sparse"), ours=True),
    "dense": Entry("ours, dense", _engine("ours", "prepare_dense"), ours=True),
    "ours-int8": Entry("ours, int8", _engine("ours", "prepare_int8"), "onnxruntime", "int8", ours=True),
    "cuda": Entry("ours on a GPU, sparse", _engine("ours", "prepare_cuda"), ours=True, on_gpu=True),
    "cuda-dense": Entry(
        "ours on a GPU, dense", _engine("ours", "prepare_cuda_dense"), ours=True, on_gpu=True
    ),
    "ort": Entry("ONNX Runtime", _engine("ort"), "onnxruntime"),
    "ort-int8": Entry("ONNX Runtime int8", _engine("ort", "prepare_int8"), "onnxruntime", "int8"),
    "deepsparse": Entry("DeepSparse", _engine("deepsparse"), "deepsparse"),
    "deepsparse-int8": Entry("DeepSparse int8", _engine("deepsparse", "prepare_int8"), "deepsparse", "int8"),
    "openvino": Entry("OpenVINO", _engine("openvino"), "openvino"),
    "openvino-bf16": Entry("OpenVINO bf16", _engine("openvino", "prepare_bf16"), "openvino", "bf16"),
    "openvino-int8": Entry("OpenVINO int8", _engine("openvino", "prepare_int8"), "openvino", "int8"),
    "openvino-nncf": Entry("OpenVINO int8 by NNCF", _engine("openvino", "prepare_nncf"), "nncf", "int8"),
    "torch": Entry("PyTorch eager", _engine("pytorch"), "torch"),
    "numpy": Entry("NumPy im2col", _engine("matrices", "prepare_numpy")),
    "scipy": Entry("SciPy CSR im2col", _engine("matrices", "prepare_scipy")),
}

ENGINES = Engines("sparsenet.engines", _ENTRIES)


def label_of(name: str) -> str:
    """An engine for people; of one that is not installed here, such as another machine's, its name."""
    return ENGINES[name].label if name in ENGINES else name


def session_clock(engines: Iterable[str], threads: int) -> Clock:
    """Processor time of the process with one thread, which need not be the caller; else the wall clock."""
    if any(ENGINES[name].on_gpu for name in engines):
        return DEVICE
    return PROCESS if threads == 1 else WALL


__all__ = [
    "ENGINES",
    "EngineMissing",
    "Entry",
    "Network",
    "Precision",
    "Prepare",
    "Session",
    "label_of",
    "session_clock",
    "session_turns",
]
