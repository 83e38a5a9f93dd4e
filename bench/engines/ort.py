"""ONNX Runtime on the CPU, every graph optimisation on."""

from __future__ import annotations

from bench.engines.session import EngineMissing, Network, Session


def prepare(network: Network, threads: int) -> Session:
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineMissing("onnxruntime is not installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Its threads spin while it runs and no longer: they would take the cores of the engine measured next.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    path = network.onnx_path("batch_norm")
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names, feed = network.graph.outputs, network.graph.inputs[0].name
    return Session(lambda x: session.run(names, {feed: x}))
