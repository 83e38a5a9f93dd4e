"""The table of ONNX operations that have a counterpart. No onnx import: rules see plain Python values.

To support one more operation, add a rule under its ``op_type`` to the file of its kind and name a test of it.
Versions are told apart by ``opset`` where the meaning changed (Softmax 13, Clip 11, ReduceMean 18, ...).
"""

from __future__ import annotations

from converters import (
    onnx_attention,
    onnx_choice,
    onnx_filled,
    onnx_layers,
    onnx_math,
    onnx_quantize,
    onnx_reduce,
    onnx_resize,
    onnx_shape_ops,
    onnx_windows,
)
from converters.onnx_call import Rule

#: Operators that do something else with integers.
INTEGER_OPERATORS = frozenset({"Cast", "Div", "Mean", "Mod", "OneHot", "ReduceMean"})

RULES: dict[str, Rule] = {
    **onnx_windows.RULES,
    **onnx_layers.RULES,
    **onnx_attention.RULES,
    **onnx_quantize.RULES,
    **onnx_math.RULES,
    **onnx_reduce.RULES,
    **onnx_shape_ops.RULES,
    **onnx_resize.RULES,
    **onnx_choice.RULES,
}

#: Of operators whose inputs are all known, but for sizes that are not and make up the shape of the result.
SIZED_RULES: dict[str, Rule] = {**onnx_filled.RULES}
