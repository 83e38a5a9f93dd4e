"""OpenVINO on the CPU, tuned for latency, float32, its own decompression of sparse weights allowed."""

from __future__ import annotations

import numpy as np

from bench.engines.session import Array, EngineMissing, Network, Session


def prepare(network: Network, threads: int) -> Session:
    """Raises EngineMissing where it is not installed."""
    try:
        import openvino
    except ImportError as error:
        raise EngineMissing("openvino is not installed: pip install openvino") from error
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,  # the CPUs are those the process may use
        "INFERENCE_PRECISION_HINT": "f32",  # would be bf16 where the CPU has it
        "CPU_SPARSE_WEIGHTS_DECOMPRESSION_RATE": 0.5,  # matrices with at least so many zeros, where it can
    }
    compiled = openvino.Core().compile_model(network.onnx_path("batch_norm"), "CPU", settings)
    request, names = compiled.create_infer_request(), network.graph.outputs

    def run(x: Array) -> list[Array]:
        results = request.infer([x])
        return [np.asarray(results[name]) for name in names]

    return Session(run)
