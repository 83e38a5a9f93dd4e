"""Rules for ONNX quantization, as operations on the floats that it represents."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, Unsupported
from converters.decompose.elementwise import clip
from converters.onnx.call import Call, Rule
from sparsenet.graph import Shape

#: The onnx.TensorProto.DataType that ``output_dtype`` may name; 0: not given.
_OUTPUT_TYPES = {
    0: "uint8", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 21: "uint4", 22: "int4", 25: "uint2", 26: "int2",
}  # fmt: skip


def _range_of(kind: str) -> tuple[int, int]:
    """The least and the largest number of an integer type, by name."""
    name, unsigned = kind.removeprefix("u"), kind.startswith("u")
    bits = int(name.removeprefix("int")) if name.startswith("int") else 0
    if bits not in (2, 4, 8, 16):
        raise Unsupported("quantization to other types than integers of 2 to 16 bits is not supported")
    return (0, 2**bits - 1) if unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _quantize(c: Call) -> Act:
    """Quantize in floats: x / scale + zero point, rounded, halves to even, within the type's range."""
    scale, zero = _per_axis(c)
    low, high = _range_of(_OUTPUT_TYPES.get(c.attrs.get("output_dtype", 0), "float8"))
    point = c.const(2, "zero point")
    if point is not None:
        low, high = _range_of(point.array.dtype.name)
    divided = c.binary("div", c.x, scale, "divided")
    rounded = c.b.node("round", c.at("rounded"), [divided.tensor])
    if zero.array.any():
        rounded = c.binary("add", rounded, zero, "shifted")
    return clip(c.b, c.site, rounded, low, high)


def _dequantize(c: Call) -> Act:
    scale, zero = _per_axis(c)
    centred = c.binary("sub", c.x, zero, "centred") if zero.array.any() else c.x
    return c.binary("mul", centred, scale)


def _per_axis(c: Call) -> tuple[Const, Const]:
    """Scale and zero point, in a shape that broadcasts."""
    scale, zero = c.const(1, "scale"), c.const(2, "zero point")
    assert scale is not None
    point = np.zeros(1, np.float32) if zero is None else zero.array.astype(np.float32)
    axis, values = c.attrs.get("axis", 1), [scale.array.astype(np.float32), point]
    if scale.array.size > 1:
        axis = c.axis(axis) - c.lead
        values = [spread(v, c.shape, axis, c.attrs.get("block_size", 0)) for v in values]
    return Const(values[0]), Const(values[1])


def spread(scale: np.ndarray, shape: Shape, axis: int, block: int) -> np.ndarray:
    """Scales, or zero points, in a form that broadcasts to ``shape``: one for each place on ``axis``, or ``block``."""
    if scale.size == 1:
        return scale.reshape(1)
    if not block:
        return scale.reshape([scale.size if i == axis else 1 for i in range(len(shape))])
    # so many numbers along the axis share one scale, the last of them perhaps fewer
    return scale.take(np.arange(shape[axis] or 1) // block, axis)


RULES: dict[str, Rule] = {"QuantizeLinear": _quantize, "DequantizeLinear": _dequantize}
