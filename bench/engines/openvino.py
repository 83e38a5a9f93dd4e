"""OpenVINO on the CPU in float32, bfloat16 or int8, tuned for latency, its decompression of sparse weights allowed."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import Any

import numpy as np

from bench.engines.session import CALIBRATION_IMAGES, Array, EngineMissing, Network, Session

#: Without it OpenVINO computes in bfloat16 where the CPU has that.
_FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


def prepare(network: Network, threads: int) -> Session:
    """Float32 throughout; raises EngineMissing where it is not installed."""
    return _session(_compiled(network.onnx_path("batch_norm"), threads, _FLOAT32))


def prepare_bf16(network: Network, threads: int) -> Session:
    """As it runs unless told otherwise; raises EngineMissing, too, where that is not bfloat16 on this CPU."""
    compiled = _compiled(network.onnx_path("batch_norm"), threads, {})
    chosen = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    if chosen != "bf16":
        raise EngineMissing(f"on this CPU OpenVINO computes in {chosen} unless told otherwise")
    return _session(compiled)


def prepare_int8(network: Network, threads: int) -> Session:
    """The QDQ file, as it runs unless told otherwise: what is not quantized is bfloat16 where the CPU has that."""
    return _session(_compiled(network.int8_path("qdq", "batch_norm"), threads, {}))


def prepare_nncf(network: Network, threads: int) -> Session:
    """Quantized by NNCF, with its defaults and the same images; raises EngineMissing where that is not installed."""
    try:
        import nncf
    except ImportError as error:
        raise EngineMissing("nncf is not installed: pip install nncf") from error
    nncf.set_log_level(logging.ERROR)
    model = _core().read_model(network.onnx_path("batch_norm"))
    with contextlib.redirect_stdout(sys.stderr):  # where its progress bars belong
        images = nncf.Dataset(list(network.calibration()))
        model = nncf.quantize(model, images, subset_size=CALIBRATION_IMAGES)
    return _session(_compiled(model, threads, {}))


def _core() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise EngineMissing("openvino is not installed: pip install openvino") from error
    return openvino.Core()


def _compiled(model: Any, threads: int, more: dict[str, Any]) -> Any:
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the CPUs are those the process may use
        "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": 0.5,  # matrices with at least so many zeros, where it can
        **more,
    }
    return _core().compile_model(model, "CPU", settings)


def _session(compiled: Any) -> Session:
    request, outputs = compiled.create_infer_request(), list(compiled.outputs)

    def run(x: Array) -> list[Array]:
        results = request.infer([x])
        return [np.asarray(results[output]) for output in outputs]

    return Session(run)
