"""Folding of what is known before inference: constant arithmetic, and shapes known but for a size or two.

Exported models compute their reshapes at run time: Shape → Gather → Unsqueeze → Concat → Reshape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from converters.builder import Const, Unsupported
from converters.hints import onnx_hint
from converters.onnx.isolated import infer_shapes
from converters.onnx.model import attributes_of
from converters.onnx.ops.quantize import spread
from converters.symbolic.fold_sizes import fold_sizes
from converters.symbolic.sizes import Sizes
from sparsenet.limits import Budget

if TYPE_CHECKING:
    import onnx

#: Operators that cannot be folded: another result each time, or one that may never come.
_NEVER_FOLDED = frozenset({
    "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial",
    "If", "Loop", "Scan", "SequenceMap",
})  # fmt: skip
#: Operators that may give more elements than their inputs have, broadcast; onnx tells how many.
_GROWING = frozenset({
    "AffineGrid", "Attention", "CenterCropPad", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DFT", "DeformConv",
    "Einsum", "GridSample", "GRU", "LSTM", "RNN", "MatMulInteger", "MaxRoiAlign", "MaxUnpool", "MelWeightMatrix",
    "Pad", "QLinearConv", "QLinearMatMul", "Resize", "RoiAlign", "STFT", "Upsample", "BlackmanWindow",
    "HammingWindow", "HannWindow", "TensorScatter",
})  # fmt: skip


_CONSTANTS_ONLY = "it computes only with constants, in a way that cannot be evaluated here"


def fold(
    node: onnx.NodeProto, inputs: list[Const | Sizes | None], opset: int, budget: Budget
) -> list[Const | Sizes]:
    """Results of a node whose inputs are all known.

    Raises:
        Unsupported: the op is not one that is evaluated here, or its inputs do not fit it.
        MemoryLimitError: its results would take more than what is left of ``budget``.
    """
    if node.op_type in _NEVER_FOLDED:
        raise Unsupported(onnx_hint(node.op_type, _CONSTANTS_ONLY))

    def evaluate(arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
        return _evaluate(node, arrays, opset, budget)

    if any(isinstance(value, Sizes) for value in inputs):
        return fold_sizes(node.op_type, attributes_of(node), inputs, evaluate)
    return [Const(a) for a in evaluate([None if v is None else v.array for v in inputs])]


def _evaluate(
    node: onnx.NodeProto, inputs: Sequence[np.ndarray | None], opset: int, budget: Budget
) -> list[np.ndarray]:
    from onnx import NodeProto, TensorProto, helper

    from converters.onnx.evaluator import evaluator

    if node.op_type in _GROWING:
        budget.take(8 * _inferred_size(node, inputs, opset))
    else:
        budget.take(8 * _result_size(node, inputs))
    feeds = {
        name: value for name, value in zip(node.input, inputs, strict=True) if name and value is not None
    }
    declared = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    named = NodeProto()
    named.CopyFrom(node)
    for i, name in enumerate(node.output):  # each keeps its place, named or not
        named.output[i] = name or f"unnamed output {i}"
    results = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in named.output]
    if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        opset = max(opset, 21)  # onnx evaluates no older ones, of which these only say more
        _prepare_quantization(named, feeds)
    graph = helper.make_graph([named], "fold", declared, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        made = evaluator(model).run(None, feeds)
    except NotImplementedError:
        raise Unsupported(onnx_hint(node.op_type, _CONSTANTS_ONLY)) from None
    except Exception as error:  # the evaluator raises whatever NumPy does on inputs that do not fit
        raise Unsupported(f"its constants do not fit: {type(error).__name__}: {error}") from error
    if any(not isinstance(r, np.ndarray | np.generic) or r.dtype.kind not in "biufV" for r in made):
        raise Unsupported("it makes something else than tensors of numbers")
    return [np.asarray(r) for r in made]


def _inferred_size(node: onnx.NodeProto, inputs: Sequence[np.ndarray | None], opset: int) -> int:
    """Elements that a node makes and reads as it works, from the shape that onnx infers of its result.

    Raises:
        Unsupported: onnx infers none.
    """
    from onnx import TensorProto, helper, numpy_helper

    given = {name: v for name, v in zip(node.input, inputs, strict=True) if name and v is not None}
    graph = helper.make_graph(
        [node],
        "size",
        [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
            for n, a in given.items()
        ],
        [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in node.output if n],
        [numpy_helper.from_array(a, n) for n, a in given.items() if a.size <= _SMALL],
    )
    made = infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]))
    dims = [info.type.tensor_type.shape.dim for info in (made.output if made else [])]
    if not dims or any(not d.HasField("dim_value") for shape in dims for d in shape):
        raise Unsupported(_CONSTANTS_ONLY)
    size = max(math.prod(d.dim_value for d in shape) for shape in dims)
    if "Conv" in node.op_type:  # each number is a sum over a window
        size *= max(1, inputs[1].size // max(1, inputs[1].shape[0])) if inputs[1] is not None else 1
    return size + sum(value.size for value in given.values())


#: Elements of an input that may say how large the result is.
_SMALL = 1024


def _prepare_quantization(node: onnx.NodeProto, feeds: dict[str, np.ndarray]) -> None:
    """Adapt inputs: the evaluator repeats scales by whole blocks, and takes numbers beyond int32 for its smallest."""
    x, scale = feeds[node.input[0]], feeds[node.input[1]]
    attrs = attributes_of(node)
    axis, block = attrs.get("axis", 1), attrs.get("block_size", 0)
    if scale.size > 1 and not -x.ndim <= axis < x.ndim:
        raise Unsupported(f"axis {axis} does not exist in a tensor of {x.ndim} dimensions", "axis")
    for attribute in node.attribute:
        if attribute.name == "block_size" and scale.size > 1:
            attribute.i = min(block, x.shape[axis])
    if node.op_type == "QuantizeLinear":
        largest = np.abs(spread(scale.astype(np.float64), x.shape, axis % max(1, x.ndim), block)) * 2.0**30
        feeds[node.input[0]] = x.clip(-largest, largest).astype(x.dtype)


def _result_size(node: onnx.NodeProto, inputs: Sequence[np.ndarray | None]) -> int:
    """Elements of the largest result, as far as it can be told beforehand."""
    present = [value for value in inputs if value is not None]
    size = max((value.size for value in present), default=0)
    try:
        if node.op_type == "ConstantOfShape":
            size = math.prod(int(d) for d in present[0].ravel())
        elif node.op_type == "Expand":
            size *= math.prod(max(1, int(d)) for d in present[1].ravel())
        elif node.op_type == "Tile":
            size = present[0].size * math.prod(max(1, int(d)) for d in present[1].ravel())
        elif node.op_type == "OneHot":
            size = present[0].size * int(present[1].item())
        elif node.op_type == "Range":
            start, limit, delta = (float(value.item()) for value in present)
            size = int((limit - start) / delta) if delta else 0
        elif node.op_type == "MatMul":
            size = math.prod(present[0].shape[:-1]) * present[1].size
        elif node.op_type == "Gemm":
            attrs = attributes_of(node)
            size = (
                present[0].shape[bool(attrs.get("transA", 0))] * present[1].shape[not attrs.get("transB", 0)]
            )
        elif node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            size = present[0].size
        elif node.op_type == "Concat":
            size = sum(value.size for value in present)
        elif node.op_type.startswith("Gather"):
            axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
            size = present[0].size * present[1].size // max(1, present[0].shape[axis])
        elif len(present) > 1:
            size = math.prod(np.broadcast_shapes(*(v.shape for v in present)))
    except (ValueError, IndexError, OverflowError):
        return size  # the evaluator will say what does not fit
    return max(size, 0)
