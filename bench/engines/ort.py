"""ONNX Runtime on the CPU, every graph optimisation on; float32, or int8 by its own static quantization."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.engines.session import EngineMissing, Network, Session


def prepare(network: Network, threads: int) -> Session:
    """Raises EngineMissing where it is not installed."""
    return _prepare(lambda: network.onnx_path("batch_norm"), threads)


def prepare_int8(network: Network, threads: int) -> Session:
    """The QDQ file; scales and shifts are Mul and Add in it, which have int8 kernels: MaskCNN takes 12 ms, not 27."""
    return _prepare(lambda: network.int8_path("qdq", "mul_add"), threads)


def _prepare(path: Callable[[], Path], threads: int) -> Session:
    try:
        session = open_session(path(), threads)
    except ModuleNotFoundError as error:
        raise EngineMissing("onnxruntime is not installed: pip install onnxruntime") from error
    feed = session.get_inputs()[0].name
    return Session(lambda x: session.run(None, {feed: x}))


def open_session(model: Path | bytes, threads: int) -> Any:
    """An ``InferenceSession`` of a file, or of what it would hold."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads spin while it runs and no longer: they would take the cores of the engine measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
