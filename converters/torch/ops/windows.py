"""ATen operations over windows: with depth, written out, pooling undone; einsum. No torch import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.builder import Act, Unsupported, Value
from converters.decompose import depth
from converters.decompose.einsum import einsum
from converters.decompose.pool_places import Windows, places_of_largest
from converters.decompose.pooling import max_pool
from converters.decompose.shapes import image_size, pair, reshape, transpose
from converters.decompose.tensors import gather
from converters.decompose.unfold import fold, unfold, unpool, windows_of
from converters.torch.call import Call, Rule, operand


def _three(value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else [int(v) for v in value]
    return values * 3 if len(values) == 1 else values


def _conv3d(c: Call) -> Act:
    stride, dilation = _three(c["stride"]), _three(c["dilation"])
    if isinstance(c["padding"], str):
        extent = [d * (k - 1) for d, k in zip(dilation, c["weight"].array.shape[2:], strict=True)]
        before = [0] * 3 if c["padding"] == "valid" else [e // 2 for e in extent]
        after = [0] * 3 if c["padding"] == "valid" else [e - e // 2 for e in extent]
    else:
        before = after = _three(c["padding"])
    return depth.conv3d(
        c.b, c.site, c.x, c["weight"], c["bias"], stride, [*before, *after], dilation, c["groups"]
    )


def _volume(rule: Callable[[Call], Act]) -> Callable[[Call], Act]:
    """A rule for (N, C, D, H, W), for (C, D, H, W) as well, whose dimension 0 is the graph's batch."""

    def wrapped(c: Call) -> Act:
        if c.rank != 4:
            return rule(c)
        x = reshape(c.b, c.at("volume"), c.x, [1, *c.sizes])
        made = rule(Call(c.b, c.at("pooled"), {**c.args, "self": x}, None))
        return reshape(c.b, c.site, made, [int(d or 0) for d in c.b.shapes[made.tensor][2:]])

    return wrapped


def _max_pool3d(c: Call) -> Act:
    kernel = _three(c["kernel_size"])
    stride = _three(c["stride"]) if c["stride"] else kernel
    padding, dilation = _three(c["padding"]) * 2, _three(c["dilation"])
    return depth.max_pool3d(c.b, c.site, c.x, kernel, stride, padding, dilation, c["ceil_mode"])


def _avg_pool3d(c: Call) -> Act:
    kernel = _three(c["kernel_size"])
    stride = _three(c["stride"]) if c["stride"] else kernel
    padding, divisor = _three(c["padding"]) * 2, c["divisor_override"]
    if divisor is None:
        counted = c["count_include_pad"]
        return depth.avg_pool3d(c.b, c.site, c.x, kernel, stride, padding, c["ceil_mode"], counted)
    if c["ceil_mode"]:
        raise Unsupported("divisor_override is not supported with ceil_mode; scale the result instead")
    mean = depth.avg_pool3d(c.b, c.at("mean"), c.x, kernel, stride, padding, False, True)
    return c.binary("mul", mean, operand(float(np.prod(kernel)) / divisor))


def max_pool_with_places(c: Call) -> list[Any]:
    """The largest number of each window, and, when it is asked for, where it stands in its channel."""
    kernel, dilation = pair(c["kernel_size"]), pair(c["dilation"])
    stride = pair(c["stride"]) if c["stride"] else kernel
    padding = pair(c["padding"]) * 2
    y = max_pool(c.b, c.site, c.x, kernel, stride, padding, dilation, c["ceil_mode"])

    def places() -> Act:
        count = image_size(c.b, y)
        windows = Windows(kernel, stride, padding, dilation, count)
        found = places_of_largest(c.b, c.at("places"), c.x, windows, False, through_channels=False)
        c.b.places[found.tensor] = windows
        return found

    return [y, places]


def _max_unpool(c: Call) -> Act:
    places = c["indices"]
    windows = c.b.places.get(places.tensor) if isinstance(places, Act) else None
    if windows is None or c.out_shape is None:
        raise Unsupported(
            "its indices must be those of a max pooling, and its size must not depend on the input"
        )
    size = [int(d or 0) for d in c.out_shape[2:]]
    return unpool(c.b, c.site, c.x, places, windows, size)


def _unfold(c: Call) -> Act:
    kernel, dilation = pair(c["kernel_size"]), pair(c["dilation"])
    padding, stride = pair(c["padding"]) * 2, pair(c["stride"])
    size = image_size(c.b, c.x)
    windows = windows_of(size, kernel, stride, padding, dilation)
    return unfold(c.b, c.site, c.x, windows)


def _fold(c: Call) -> Act:
    kernel, dilation = pair(c["kernel_size"]), pair(c["dilation"])
    padding, stride = pair(c["padding"]) * 2, pair(c["stride"])
    if c.out_shape is None:
        raise Unsupported("its size must not depend on the input")
    size = [int(d or 0) for d in c.out_shape[2:]]
    windows = windows_of(size, kernel, stride, padding, dilation)
    return fold(c.b, c.site, c.x, size, windows)


def _unfold_axis(c: Call) -> Act:
    """Windows along one axis, which come as a last axis of their own."""
    axis = c.axis(c["dimension"])
    size, step = int(c["size"]), int(c["step"])
    first = np.arange(0, c.sizes[axis - 1] - size + 1, step)
    y = gather(c.b, c.at("windows"), c.x, axis, first[:, None] + np.arange(size))
    order = [i for i in range(c.rank + 1) if i != axis + 1]
    return transpose(c.b, c.site, y, [*order, axis + 1])


def _einsum(c: Call) -> Value:
    return einsum(c.b, c.site, [operand(v) for v in c["tensors"]], c["equation"])


RULES: dict[str, Rule] = {
    "conv3d.default": _conv3d,
    "conv3d.padding": _conv3d,
    "max_pool3d.default": _volume(_max_pool3d),
    "max_pool3d_with_indices.default": lambda c: [_volume(_max_pool3d)(c)],
    "avg_pool3d.default": _volume(_avg_pool3d),
    "max_pool2d.default": lambda c: max_pool_with_places(c)[0],
    "max_pool2d_with_indices.default": max_pool_with_places,
    "max_unpool2d.default": _max_unpool,
    "im2col.default": _unfold,
    "col2im.default": _fold,
    "unfold.default": _unfold_axis,
    "einsum.default": _einsum,
}
