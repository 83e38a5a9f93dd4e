"""What is known before inference: constant arithmetic, and shapes in which only the batch is open.

Exported models compute their reshapes at run time: Shape → Gather → Unsqueeze → Concat → Reshape. Such a chain is
evaluated twice, for two different batch sizes. A number that comes out equal both times is a constant; one that
equals the batch size both times is the batch; anything else is ``Sizes`` that no rule can use.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converters.builder import Const, Unsupported
from sparsenet.graph import Shape
from sparsenet.limits import Budget

if TYPE_CHECKING:
    import onnx

#: Two batch sizes that no real shape is likely to contain or divide.
PROBES = (1009, 2003)

# fmt: off
FOLDED_OPS = frozenset({
    "Shape", "Size", "ConstantOfShape", "Range", "Cast", "CastLike", "Identity", "DequantizeLinear",
    "Gather", "GatherND", "ScatterND", "Slice", "Split", "Concat", "Expand", "Tile", "Where",
    "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose",
    "Add", "Sub", "Mul", "Div", "Mod", "Neg", "Pow", "Sqrt", "Exp", "Reciprocal", "Abs", "Sum", "MatMul",
    "Floor", "Ceil", "Round", "Min", "Max", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum",
    "And", "Or", "Not", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual",
})
# fmt: on


COMPARISONS = frozenset({"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"})


@dataclass(frozen=True)
class Sizes:
    """An integer array that depends on the batch: its values for the two probe batches."""

    at: tuple[np.ndarray, np.ndarray]

    @property
    def array(self) -> np.ndarray:
        """Raises Unsupported: there is no single value."""
        raise Unsupported("a number it needs depends on the batch size")

    def dims(self) -> list[int | None]:
        """The values as sizes, None for the batch."""
        first, second = (a.ravel().tolist() for a in self.at)
        if any(p != q and (p, q) != PROBES for p, q in zip(first, second, strict=True)):
            raise Unsupported("a size it needs mixes the batch with other dimensions")
        return [None if p != q else int(p) for p, q in zip(first, second, strict=True)]


def shape_value(shape: Shape, start: int = 0, end: int | None = None) -> Const | Sizes:
    """What ``Shape`` returns for an activation of this shape."""
    return known(
        [np.array([probe if d is None else d for d in shape[start:end]], np.int64) for probe in PROBES]
    )


def known(arrays: list[np.ndarray]) -> Const | Sizes:
    """One value per probe → a constant where they agree."""
    first, second = arrays
    if first.shape != second.shape:
        raise Unsupported("a tensor's shape depends on the batch size in a way that cannot be followed")
    return Const(first) if np.array_equal(first, second) else Sizes((first, second))


def fold(
    node: onnx.NodeProto, inputs: list[Const | Sizes | None], opset: int, budget: Budget
) -> list[Const | Sizes]:
    """Results of a node whose inputs are all known.

    Raises:
        Unsupported: the op is not one that is evaluated here, or its inputs do not fit it.
        MemoryLimitError: its results would take more than what is left of ``budget``.
    """
    if node.op_type not in FOLDED_OPS:
        raise Unsupported("it computes only with constants, in a way that cannot be evaluated here")
    if any(isinstance(value, Sizes) for value in inputs):
        runs = [
            _evaluate(node, [v.at[i] if isinstance(v, Sizes) else _array(v) for v in inputs], opset, budget)
            for i in range(len(PROBES))
        ]
        results = [known([a, b]) for a, b in zip(*runs, strict=True)]
        if node.op_type in COMPARISONS and isinstance(results[0], Const):
            _require_for_one(node, inputs, opset, budget, results[0])
        return results
    return [Const(a) for a in _evaluate(node, [_array(v) for v in inputs], opset, budget)]


def _require_for_one(
    node: onnx.NodeProto, inputs: list[Const | Sizes | None], opset: int, budget: Budget, answer: Const
) -> None:
    """Raise Unsupported if a comparison that holds for large batches alone was taken for a constant."""
    step = PROBES[1] - PROBES[0]
    ones = [
        v.at[0] - (v.at[1] - v.at[0]) // step * (PROBES[0] - 1) if isinstance(v, Sizes) else _array(v)
        for v in inputs
    ]
    if not np.array_equal(_evaluate(node, ones, opset, budget)[0], answer.array):
        raise Unsupported("it compares a size that is only known when the network runs")


def _array(value: Const | Sizes | None) -> np.ndarray | None:
    return None if value is None else value.array


def _evaluate(
    node: onnx.NodeProto, inputs: list[np.ndarray | None], opset: int, budget: Budget
) -> list[np.ndarray]:
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    budget.take(8 * _result_size(node, inputs))
    feeds = {
        name: value for name, value in zip(node.input, inputs, strict=True) if name and value is not None
    }
    declared = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()
    ]
    results = [helper.make_tensor_value_info(n, TensorProto.UNDEFINED, None) for n in node.output if n]
    graph = helper.make_graph([node], "fold", declared, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        return [np.asarray(r) for r in ReferenceEvaluator(model).run(None, feeds)]
    except Exception as error:  # the evaluator raises whatever NumPy does on inputs that do not fit
        raise Unsupported(f"its constants do not fit: {type(error).__name__}: {error}") from error


def _result_size(node: onnx.NodeProto, inputs: list[np.ndarray | None]) -> int:
    """Elements of the largest result, as far as it can be told beforehand."""
    present = [value for value in inputs if value is not None]
    size = max((value.size for value in present), default=0)
    try:
        if node.op_type == "ConstantOfShape":
            size = math.prod(int(d) for d in present[0].ravel())
        elif node.op_type == "Expand":
            size *= math.prod(max(1, int(d)) for d in present[1].ravel())
        elif node.op_type == "Tile":
            size = present[0].size * math.prod(int(d) for d in present[1].ravel())
        elif node.op_type == "Range":
            start, limit, delta = (float(value.item()) for value in present)
            size = int((limit - start) / delta) if delta else 0
        elif node.op_type == "MatMul":
            size = math.prod(present[0].shape[:-1]) * present[1].size
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
