"""The table of ONNX operations that have a counterpart. No onnx import: rules see plain Python values.

To support one more operation, add a rule under its ``op_type`` to the file of its kind and name a test of it.
Versions are told apart by ``opset`` where the meaning changed (Softmax 13, Clip 11, ReduceMean 18, ...).
"""

from __future__ import annotations

from converters.onnx.call import Rule
from converters.onnx.ops import arithmetic as onnx_math
from converters.onnx.ops import attention as onnx_attention
from converters.onnx.ops import choice as onnx_choice
from converters.onnx.ops import filled as onnx_filled
from converters.onnx.ops import layers as onnx_layers
from converters.onnx.ops import quantize as onnx_quantize
from converters.onnx.ops import reduce as onnx_reduce
from converters.onnx.ops import resize as onnx_resize
from converters.onnx.ops import shapes as onnx_shape_ops
from converters.onnx.ops import windows as onnx_windows

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
