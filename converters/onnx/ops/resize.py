"""ONNX Resize and Upsample: as the op table's ``resize`` where that samples the same places, else axis by axis.

ONNX knows many coordinate rules. Instead of a list of names, what each rule makes of an axis is computed and compared:
whatever is the same is the same op, whatever it is called. What the op does not know becomes a choice of pixels, or a
product with the axis's resampling matrix.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converters.builder import Act, Const, Unsupported
from converters.decompose.elementwise import choose
from converters.decompose.resampling import Axis, Resampling, leaves_input, matrix
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.decompose.tensors import LARGEST_MATRIX, resample_axis, resize
from converters.onnx.call import Call, Rule, per_image

#: Rows or columns an image may have; a crafted size must not eat the memory.
LARGEST_SIDE = 1 << 20


def _resize(c: Call) -> Act:
    """Rule of Resize; inputs: x, roi, scales, sizes (opset 10: x, scales)."""
    roi, scales, sizes = (None, c.get(1), None) if c.opset < 11 else (c.get(1), c.get(2), c.get(3))
    rule = Resampling(
        {"bilinear": "linear"}.get(c.attrs.get("mode", "nearest"), c.attrs.get("mode", "nearest")),
        c.attrs.get("coordinate_transformation_mode", "asymmetric" if c.opset < 11 else "half_pixel"),
        c.attrs.get("nearest_mode", "simple" if c.opset < 11 else "round_prefer_floor"),
        c.attrs.get("cubic_coeff_a", -0.75),
        bool(c.attrs.get("antialias", 0)),
        bool(c.attrs.get("exclude_outside", 0)),
    )
    return _resample(c, rule, _axes(c, _numbers(scales), _numbers(sizes), _numbers(roi)))


def _upsample(c: Call) -> Act:
    """Rule of Upsample, the predecessor of Resize: scales (an attribute before opset 9), asymmetric coordinates."""
    scales = [float(s) for s in c.attrs["scales"]] if c.opset < 9 else _numbers(c.get(1))
    mode = c.attrs.get("mode", "nearest")
    rule = Resampling({"bilinear": "linear"}.get(mode, mode), "asymmetric", "simple")
    return _resample(c, rule, _axes(c, scales, None, None))


def _numbers(value: Any) -> list[float] | None:
    """Values of a constant; None where absent or empty. A batch among sizes counts as unchanged (0)."""
    if value is None:
        return None
    if isinstance(value, Act):
        raise Unsupported("its sizes are computed from the input's values")
    if isinstance(value, Const):
        return [float(v) for v in value.array.ravel()] or None
    return [0.0 if d is None else float(d) for d in value.dims()]


def _axes(
    c: Call, scales: list[float] | None, sizes: list[float] | None, roi: list[float] | None
) -> dict[int, Axis]:
    """Every axis that is named, as the graph counts it, but for the batch."""
    shape = c.shape
    rank = len(shape)
    named = [a % rank for a in c.attrs.get("axes", range(rank))]
    given = sizes or scales
    if given is None or len(given) != len(named) or (roi is not None and len(roi) != 2 * len(named)):
        raise Unsupported("it needs one scale or size per dimension")
    policy = c.attrs.get("keep_aspect_ratio_policy", "stretch")
    factors = (
        given if sizes is None else [v / (shape[a] or v or 1) for a, v in zip(named, given, strict=True)]
    )
    common = None
    if sizes is not None and policy != "stretch":
        if policy not in ("not_larger", "not_smaller") or 0 in named:
            raise Unsupported(f"'{policy}' is not supported with axes {named}", "keep_aspect_ratio_policy")
        common = min(factors) if policy == "not_larger" else max(factors)
    result = {}
    for i, axis in enumerate(named):
        size = int(shape[axis] or 0)
        if axis == 0:
            if not (given[i] == 1.0 if sizes is None else given[i] in (0.0, 1.0, float(c.static_batch or 0))):
                raise Unsupported(BATCH_HINT)
            continue
        if given[i] <= 0:
            raise Unsupported(f"scales and sizes must be positive, got {given}")
        scale = factors[i] if common is None else common
        if common is not None:
            out = int(size * common + 0.5)
        else:
            out = int(given[i]) if sizes is not None else math.floor(size * scale)
        if not 1 <= out <= LARGEST_SIDE:
            raise Unsupported(f"a size of {out} is not supported")
        start, end = (0.0, 1.0) if roi is None else (roi[i], roi[i + len(named)])
        result[axis] = Axis(size, out, scale, start, end)
    return result


def _resample(c: Call, rule: Resampling, axes: dict[int, Axis]) -> Act:
    known = _as_resize(c, rule, axes)
    if known is not None:
        return known
    x = c.x
    outside = {axis: leaves_input(how, rule) for axis, how in axes.items()}
    filled = any(o.any() for o in outside.values()) and c.attrs.get("extrapolation_value", 0.0) != 0.0
    changed = [axis for axis, how in axes.items() if not _unchanged(how)]
    if not changed:
        return x
    for i, axis in enumerate(changed):
        part = "" if i == len(changed) - 1 and not filled else f"axis{axis}"
        x = resample_axis(c.b, c.at(part), x, axis, axes[axis], rule)
    if not filled:
        return x
    rank = len(c.shape)
    mask = np.zeros((1,) * (rank - 1), bool)
    for axis, gone in outside.items():
        mask = mask | gone.reshape([-1 if a == axis else 1 for a in range(1, rank)])
    value = Const(np.full(1, c.attrs["extrapolation_value"], np.float32))
    return choose(c.b, c.site, Const(mask.astype(np.float32)), value, x)


def _unchanged(axis: Axis) -> bool:
    return axis.size == axis.out and math.isclose(axis.scale, 1.0) and (axis.start, axis.end) == (0.0, 1.0)


def _as_resize(c: Call, rule: Resampling, axes: dict[int, Axis]) -> Act | None:
    """The op table's own resize of an image, or of a line as an image of one row, if it samples the same places."""
    if (
        len(c.shape) not in (3, 4)
        or rule.antialias
        or rule.exclude_outside
        or rule.mode not in ("nearest", "linear")
    ):
        return None
    if (1 in axes and not _unchanged(axes[1])) or rule.coordinates == "tf_crop_and_resize":
        return None
    channels, *sizes = c.sizes
    line = len(sizes) == 1
    pair = [Axis(1, 1, 1.0)] * line + [axes.get(a, Axis(n, n, 1.0)) for a, n in enumerate(sizes, 2)]
    size = [axis.out for axis in pair]
    if max(axis.size * axis.out for axis in pair) > LARGEST_MATRIX:
        return None

    def resized(mode: str, coordinates: str) -> Act:
        if not line:
            return resize(c.b, c.site, c.x, size, mode, coordinates)
        image = reshape(c.b, c.at("image"), c.x, [channels, 1, *sizes])
        image = resize(c.b, c.at("resized"), image, size, mode, coordinates)
        return reshape(c.b, c.site, image, [channels, size[1]])

    wanted = [matrix(axis, rule) for axis in pair]
    if rule.mode == "nearest":
        if all(_same(w, _floored(axis)) for w, axis in zip(wanted, pair, strict=True)):
            return resized("nearest", "half_pixel")
        return None
    for name in ("half_pixel", "align_corners"):
        ours = [matrix(Axis(a.size, a.out, a.out / a.size), Resampling("linear", name)) for a in pair]
        if all(_same(w, o) for w, o in zip(wanted, ours, strict=True)):
            return resized("bilinear", name)
    return None


def _floored(axis: Axis) -> np.ndarray:
    """The pixels that the op reads: output pixel i shows pixel i · size // out."""
    return np.eye(axis.size)[np.arange(axis.out) * axis.size // axis.out]


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=0, atol=1e-6))


RULES: dict[str, Rule] = {"Resize": per_image(_resize), "Upsample": per_image(_upsample)}
