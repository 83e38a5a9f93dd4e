"""An ONNX model in another type of floats, to compute without the rounding of its own type."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx

#: Types of floats of at most 32 bits: float, float16, bfloat16.
_NARROW = (1, 10, 16)
_FLOAT, _DOUBLE, _BFLOAT16 = 1, 11, 16
#: Attributes that hold a type.
_TYPES = ("to", "dtype")


def widened(model: onnx.ModelProto, double: bool) -> onnx.ModelProto:
    """A copy whose floats are all float64 (or, not ``double``, float32): inputs, weights, casts and subgraphs."""
    import onnx

    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    kind = _DOUBLE if double else _FLOAT
    _widen_graph(wide.graph, kind)
    for function in wide.functions:
        _widen_nodes(function.node, kind)
    return wide


def has_bfloat16(model: onnx.ModelProto) -> bool:
    """Whether a weight or an input of the model is bfloat16, or something is cast to it."""
    graph = model.graph
    types = [t.data_type for t in graph.initializer] + [i.type.tensor_type.elem_type for i in graph.input]
    types += [a.i for node in graph.node for a in node.attribute if a.name in _TYPES]
    return _BFLOAT16 in types


def run_exactly(
    model: onnx.ModelProto, outputs: list[str], feeds: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """``outputs`` of the model by onnx's reference evaluator, in float64."""
    from converters.onnx.evaluator import evaluator

    wide = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in feeds.items()}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return list(evaluator(widened(model, double=True)).run(outputs, wide))


def _widen_graph(graph: onnx.GraphProto, kind: int) -> None:
    for tensor in graph.initializer:
        _widen_tensor(tensor, kind)
    for info in (*graph.input, *graph.output):
        if info.type.tensor_type.elem_type in _NARROW:
            info.type.tensor_type.elem_type = kind
    del graph.value_info[:]
    _widen_nodes(graph.node, kind)


def _widen_nodes(nodes: Sequence[onnx.NodeProto], kind: int) -> None:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                _widen_graph(attribute.g, kind)
            if attribute.HasField("t"):
                _widen_tensor(attribute.t, kind)
            if attribute.name in _TYPES and attribute.i in _NARROW:
                attribute.i = kind


def _widen_tensor(tensor: onnx.TensorProto, kind: int) -> None:
    from onnx import numpy_helper

    if tensor.data_type in _NARROW and tensor.data_type != kind:
        array = numpy_helper.to_array(tensor).astype(np.float64 if kind == _DOUBLE else np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
