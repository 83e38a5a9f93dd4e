"""Small ONNX models from node specifications, and the comparison with onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import NodeProto, TensorProto, helper, numpy_helper

from converters import from_onnx, passes
from sparsenet.graph import Graph
from tests.converters.importing import TOLERANCE, assert_outputs

RNG = np.random.default_rng(0)


def weights(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def node(op: str, inputs: str, outputs: str = "y", **attrs: Any) -> NodeProto:
    """``inputs`` and ``outputs`` separated by spaces; ``_`` stands for an absent one."""
    names = ["" if n == "_" else n for n in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op}_{outputs.split()[0]}", **attrs)


def model(
    nodes: Sequence[NodeProto],
    constants: Mapping[str, np.ndarray] | None = None,
    *,
    shape: Sequence[int | str] = ("N", 4, 7, 9),
    outputs: Sequence[str] = ("y",),
    opset: int = 18,
    input_type: int = TensorProto.FLOAT,
) -> onnx.ModelProto:
    """A model with one input ``x``; the outputs' shapes are left to the runtime."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", input_type, list(shape))],
        [helper.make_tensor_value_info(name, input_type, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()],
    )
    # The IR of the oldest opset in the tests, so that onnxruntime takes every one.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run_onnxruntime(proto: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, ["CPUExecutionProvider"])
    return [np.asarray(r) for r in session.run(None, {"x": x})]


def assert_converts(proto: onnx.ModelProto, batch: int = 2, tolerance: float = TOLERANCE) -> Graph:
    """Compare with onnxruntime, as imported and optimized; returns the imported graph."""
    dims = proto.graph.input[0].type.tensor_type.shape.dim
    x = RNG.standard_normal((dims[0].dim_value or batch, *(d.dim_value for d in dims[1:]))).astype(np.float32)
    expected = run_onnxruntime(proto, x)
    raw = from_onnx(proto, optimize=False)
    assert raw.outputs == [o.name for o in proto.graph.output]
    assert_outputs(raw, {"x": x}, expected, tolerance)
    assert_outputs(passes.optimize(raw), {"x": x}, expected, tolerance)
    return raw
