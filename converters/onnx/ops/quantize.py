"""Rules for ONNX quantization: bytes become annotations, other integers operations on the floats that they mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose.elementwise import clip
from converters.onnx.call import Call, Rule
from converters.quantized import Quantized, as_integers, quantized
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


def _quantize(c: Call) -> Value:
    """Quantize: bytes as the numbers that they stand for, anything else in floats."""
    return quantize_result(c, c.x, c.const(1, "scale"), c.const(2, "zero point"))


def quantize_result(c: Call, x: Act, scale: Value | None, point: Value | None) -> Value:
    """``x`` quantized by a scale and a zero point, which must be constants."""
    kind = _OUTPUT_TYPES.get(c.attrs.get("output_dtype", 0), "float8")
    if not isinstance(scale, Const) or isinstance(point, Act):
        raise Unsupported("its scale and its zero point must be constants")
    if point is not None:
        kind = point.array.dtype.name
    if scale.array.size == 1 and kind in ("uint8", "int8"):
        zero = 0 if point is None else int(point.array.item())
        made = quantized(c.b, c.site, x, float(scale.array.item()), zero, kind == "int8")
        if made is not None:
            return made
    return _in_floats(replace(c, inputs=[x, scale, point]), *_range_of(kind))


def _in_floats(c: Call, low: int, high: int) -> Act:
    """Quantize in floats: x / scale + zero point, rounded, halves to even, within the type's range."""
    scale, zero = _per_axis(c)
    divided = c.binary("div", c.x, scale, "divided")
    rounded = c.b.node("round", c.at("rounded"), [divided.tensor])
    if zero.array.any():
        rounded = c.binary("add", rounded, zero, "shifted")
    return clip(c.b, c.site, rounded, low, high)


def _dequantize(c: Call) -> Value:
    return dequantize(c, c.site, c.operand(0), c.const(1, "scale"), c.const(2, "zero point"))


def dequantize(
    c: Call, site: Site, x: Value | None, scale: Value | None, point: Value | None, axis: int | None = None
) -> Value:
    """The numbers that ``x`` stands for, by a scale and a zero point, which must be constants.

    Args:
        c: the node that asks; its attributes tell of axes and blocks if ``axis`` is None.
        site: where its operations land.
        x: bytes, or integers as numbers.
        scale: one, or one for each place of the axis.
        point: as many zero points; None: 0.
        axis: the axis of a constant.
    """
    if not isinstance(scale, Const) or isinstance(point, Act) or x is None:
        raise Unsupported("its scale and its zero point must be constants")
    if isinstance(x, Const):
        return _constant(c, x, scale, point, axis)
    if isinstance(x, Quantized):
        if undoes(x, scale, point):
            return Act(x.tensor)
        x = as_integers(c.b, site.sub("integers"), x)
    inner = replace(c, site=site, inputs=[x, scale, point])
    factor, zeros = _per_axis(inner)
    centred = inner.binary("sub", x, zeros, "centred") if zeros.array.any() else x
    return inner.binary("mul", centred, factor)


def undoes(x: Quantized, scale: Value | None, point: Value | None) -> bool:
    """Whether dequantizing by a scale and a zero point gives the numbers that ``x`` was made of, rounded."""
    if not isinstance(scale, Const) or scale.array.size != 1 or isinstance(point, Act):
        return False
    zero = 0 if point is None else int(point.array.reshape(-1)[0])
    return float(scale.array.item()) == x.scale and zero == x.zero_point


def _constant(c: Call, x: Const, scale: Const, point: Const | None, axis: int | None) -> Const:
    """A constant's numbers; its scales are noted, if its integers are those of int8 around 0."""
    zero = np.zeros(1) if point is None else point.array.astype(np.float64)
    place = c.attrs.get("axis", 1) if axis is None else axis
    place %= max(1, x.array.ndim)
    block = c.attrs.get("block_size", 0) if axis is None else 0
    factors, zeros = (spread(v, x.array.shape, place, block) for v in (scale.array.astype(np.float32), zero))
    steps = x.array.astype(np.float64) - zeros
    if not block and x.array.dtype.kind in "iu" and np.abs(steps + 0.5).max(initial=0) <= 128:
        c.b.weight_scales.append(scale.array.astype(np.float32).reshape(-1))
    return Const(steps.astype(np.float32) * factors, x.name)


def _dynamic(c: Call) -> list[Value]:
    """Rule of DynamicQuantizeLinear, whose scale follows from the numbers: they stay as they are, with a scale of 1."""
    return [c.x, Const(np.ones((), np.float32)), Const(np.zeros((), np.uint8))]


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


RULES: dict[str, Rule] = {
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _dequantize,
    "DynamicQuantizeLinear": _dynamic,
}
