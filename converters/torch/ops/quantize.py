"""Rules for quantization in exported PyTorch networks (PT2E, torchao): bytes become annotations. No torch import.

``quantized_decomposed.quantize_per_tensor(input, scale, zero_point, quant_min, quant_max, dtype)`` and its
``dequantize``. Weights are constants, which are folded before rules are asked; ``note_scales`` notes what they lie on.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Unsupported, Value
from converters.decompose.elementwise import clip, scalar
from converters.quantized import Quantized, as_integers, quantized
from converters.torch.call import Call, Rule

#: (quant_min, quant_max) of whole bytes → whether they are signed.
_BYTES = {(0, 255): False, (-128, 127): True}


def note_scales(b: GraphBuilder, args: dict[str, Any]) -> None:
    """Note the scales of a constant that was dequantized by these arguments, if its integers are around 0."""
    scales, points = (_array(args.get(name, args.get(f"{name}s"))) for name in ("scale", "zero_point"))
    if scales is not None and points is not None and not points.any() and args.get("axis", 0) == 0:
        b.weight_scales.append(scales.astype(np.float32).reshape(-1))


def _quantize(c: Call) -> Value:
    """Bytes, as the numbers that they stand for; integers of another range in floats."""
    scale, point, ends = _scale(c), _number(c, "zero_point"), (int(c["quant_min"]), int(c["quant_max"]))
    if ends in _BYTES:
        made = quantized(c.b, c.site, c.x, scale, int(point), _BYTES[ends])
        if made is not None:
            return made
    steps = c.binary("div", c.x, scalar(scale), "steps")
    shifted = c.binary("add", c.b.node("round", c.at("rounded"), [steps.tensor]), scalar(point), "shifted")
    return clip(c.b, c.site, shifted, *ends)


def _dequantize(c: Call) -> Value:
    scale, point = _scale(c), _number(c, "zero_point")
    x = c.x
    if isinstance(x, Quantized):
        if (scale, point) == (x.scale, x.zero_point):
            return Act(x.tensor)
        x = as_integers(c.b, c.at("integers"), x)
    return c.binary("mul", c.binary("sub", x, scalar(point), "centred"), scalar(scale))


def _scale(c: Call) -> float:
    # The scale of a float32 program, which Python has as a float64.
    return float(np.float32(_number(c, "scale")))


def _number(c: Call, name: str) -> float:
    array = _array(c[name])
    if array is None or array.size != 1:
        raise Unsupported(f"its {name} must be one constant number")
    return float(array.reshape(()))


def _array(value: Any) -> np.ndarray | None:
    if isinstance(value, Const):
        return value.array
    return np.asarray(value) if isinstance(value, int | float) else None


RULES: dict[str, Rule] = {
    f"quantized_decomposed.{op}_per_tensor.{overload}": rule
    for op, rule in (("quantize", _quantize), ("dequantize", _dequantize))
    for overload in ("default", "tensor", "tensor2")
}
