"""The table of ONNX operations that have a counterpart. No onnx import: rules see plain Python values.

To support one more operation, add a rule under its ``op_type`` to the file of its kind and name a test of it.
Versions are told apart by ``opset`` where the meaning changed (Softmax 13, Clip 11, ReduceMean 18, ...).
"""

from __future__ import annotations

from converters.onnx.call import Rule
from converters.onnx.ops import (
    arithmetic,
    attention,
    choice,
    filled,
    integers,
    layers,
    quantize,
    reduce,
    resize,
    shapes,
    windows,
)
from sparsenet.tables import Table

#: Operators that mean something else for integers.
INTEGER_OPERATORS = frozenset({"Cast", "Div", "Mean", "Mod", "OneHot", "ReduceMean"})

#: Operators that read bytes as the numbers that they stand for, and say themselves what they make of them.
READS_BYTES = frozenset({"DequantizeLinear", "com.microsoft::DequantizeLinear", *integers.RULES})
#: Operators that take bytes as they are, in another place: what they make has the same grid.
KEEPS_BYTES = frozenset({
    "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Shape", "Size", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip

#: Operator → its rule; one of another domain is called ``domain::op_type``.
RULES: Table[Rule] = Table.joined(
    windows.RULES,
    layers.RULES,
    attention.RULES,
    quantize.RULES,
    integers.RULES,
    arithmetic.RULES,
    reduce.RULES,
    shapes.RULES,
    resize.RULES,
    choice.RULES,
)

#: Rules of operators whose inputs are all known, but for unknown sizes that make up the shape of the result.
SIZED_RULES: dict[str, Rule] = {**filled.RULES}
