"""ONNX Resize and Upsample, in as far as the op table's ``resize`` does exactly the same.

ONNX knows many coordinate rules. Instead of a list of names, the source coordinate of every output pixel is computed
both ways and compared: what samples the same places is supported, whatever it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters import lowering
from converters.builder import Act, Const, GraphBuilder, Site, Unsupported

Float64Array = np.ndarray
#: Rows or columns an image may have; a crafted size must not eat the memory.
LARGEST_SIDE = 1 << 20


def resize(
    b: GraphBuilder, site: Site, x: Act, inputs: Sequence[Any], attrs: dict[str, Any], opset: int
) -> Act:
    """``inputs``: roi, scales, sizes (opset 10: only scales)."""
    if attrs.get("antialias", 0) or attrs.get("exclude_outside", 0):
        raise Unsupported("antialias and exclude_outside are not supported")
    scales, sizes = (inputs[0], None) if opset < 11 else (inputs[1], inputs[2])
    default = "asymmetric" if opset < 11 else "half_pixel"
    nearest = "floor" if opset < 11 else "round_prefer_floor"
    return _lower(
        b,
        site,
        x,
        _numbers(scales),
        _numbers(sizes),
        attrs,
        attrs.get("coordinate_transformation_mode", default),
        attrs.get("nearest_mode", nearest),
    )


def upsample(b: GraphBuilder, site: Site, x: Act, scales: Any, attrs: dict[str, Any]) -> Act:
    """The predecessor of Resize, opset 9: scales, asymmetric coordinates."""
    return _lower(b, site, x, _numbers(scales), None, attrs, "asymmetric", "floor")


def _numbers(value: Any) -> list[float] | None:
    """Values of a constant; None where absent or empty. A batch among sizes counts as unchanged (0)."""
    if value is None:
        return None
    if isinstance(value, Act):
        raise Unsupported("its sizes are computed from the input's values")
    if isinstance(value, Const):
        return [float(v) for v in value.array.ravel()] or None
    return [0.0 if d is None else float(d) for d in value.dims()]


def _lower(
    b: GraphBuilder,
    site: Site,
    x: Act,
    scales: list[float] | None,
    sizes: list[float] | None,
    attrs: dict[str, Any],
    rule: str,
    nearest: str,
) -> Act:
    have = lowering.image_size(b, x)
    axes = [a % 4 for a in attrs.get("axes", range(4))]
    given = sizes or scales
    if given is None or len(given) != len(axes):
        raise Unsupported("it needs one scale or size per dimension")
    if sizes is not None and attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise Unsupported("keep_aspect_ratio_policy is not supported; give the exact sizes")
    channels = b.shapes[x.tensor][1]
    for axis, value in zip(axes, given, strict=True):
        if axis < 2 and not (value == 1.0 if sizes is None else axis == 0 or value == channels):
            raise Unsupported("only H and W can be resized")
    out, factors = list(have), [1.0, 1.0]
    for axis, value in zip(axes, given, strict=True):
        if axis >= 2 and value <= 0:
            raise Unsupported(f"scales and sizes must be positive, got {given}")
        if axis >= 2:
            out[axis - 2] = int(value) if sizes is not None else int(np.floor(have[axis - 2] * value))
            factors[axis - 2] = value / have[axis - 2] if sizes is not None else value
    if max(out) > LARGEST_SIDE or min(out) < 1:
        raise Unsupported(f"a size of {tuple(out)} is not supported")
    mode = attrs.get("mode", "nearest")
    coordinates = [_coordinates(h, o, f, rule) for h, o, f in zip(have, out, factors, strict=True)]
    if mode == "nearest":
        samples = [_rounded(c, h, nearest) for c, h in zip(coordinates, have, strict=True)]
        ours = [np.arange(o) * h // o for h, o in zip(have, out, strict=True)]
        if all(np.array_equal(s, t) for s, t in zip(samples, ours, strict=True)):
            return lowering.resize(b, site, x, out, "nearest", "half_pixel")
        raise Unsupported(
            f"nearest with '{rule}' and '{nearest}' picks other pixels; use 'asymmetric' and 'floor'"
        )
    if mode not in ("linear", "bilinear"):
        raise Unsupported(f"mode '{mode}' is not supported; use 'nearest' or 'linear'")
    for name in ("half_pixel", "align_corners"):
        ours = [_coordinates(h, o, o / h, name) for h, o in zip(have, out, strict=True)]
        pairs = zip(coordinates, ours, have, strict=True)
        if all(np.allclose(np.clip(s, 0, h - 1), np.clip(t, 0, h - 1), atol=1e-6) for s, t, h in pairs):
            return lowering.resize(b, site, x, out, "bilinear", name)
    raise Unsupported(f"linear with '{rule}' samples other places; use 'half_pixel' or 'align_corners'")


def _coordinates(size: int, out: int, scale: float, rule: str) -> Float64Array:
    """Where in the input (pixels, 0 = centre of the first) each output pixel is taken from; ONNX, Resize."""
    i = np.arange(out, dtype=np.float64)
    match rule:
        case "asymmetric":
            return i / scale
        case "half_pixel":
            return (i + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / scale - 0.5 if out > 1 else np.zeros(1)
        case "half_pixel_symmetric":
            adjusted = out / (size * scale)
            return size / 2 * (1 - adjusted) + (i + 0.5) / scale - 0.5
        case "align_corners":
            return i * (size - 1) / (out - 1) if out > 1 else np.zeros(1)
    raise Unsupported(
        f"coordinate_transformation_mode '{rule}' is not supported; use 'half_pixel' or 'align_corners'"
    )


def _rounded(coordinates: Float64Array, size: int, rule: str) -> np.ndarray:
    match rule:
        case "floor":
            picked = np.floor(coordinates)
        case "ceil":
            picked = np.ceil(coordinates)
        case "round_prefer_floor":
            picked = np.ceil(coordinates - 0.5)
        case "round_prefer_ceil":
            picked = np.floor(coordinates + 0.5)
        case _:
            raise Unsupported(f"nearest_mode '{rule}' is not known")
    return np.clip(picked, 0, size - 1).astype(np.int64)
