"""ATen operations over windows: with depth, written out, pooling undone; einsum. No torch import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from converters.builder import Act, Unsupported, Value
from converters.decompose import depth
from converters.decompose.einsum import einsum
from converters.decompose.pool_places import places_of_largest
from converters.decompose.pooling import max_pool
from converters.decompose.shapes import image_size, pair, reshape, transpose
from converters.decompose.tensors import gather
from converters.decompose.unfold import fold, unfold, unpool
from converters.decompose.window import Window
from converters.torch.call import Call, Rule, constant, operand


def _three(value: int | Sequence[int]) -> list[int]:
    values = [value] if isinstance(value, int) else [int(v) for v in value]
    return values * 3 if len(values) == 1 else values


def _pooling(c: Call, directions: Callable[[Any], list[int]]) -> Window:
    """The window of a pooling: a step as long as the kernel where none is given."""
    kernel = directions(c["kernel_size"])
    stride = directions(c["stride"]) if c["stride"] else kernel
    return Window(kernel, stride, directions(c["padding"]) * 2, directions(c.args.get("dilation", 1)))


def _conv3d(c: Call) -> Act:
    weight = constant(c["weight"], "weights")
    assert weight is not None
    stride, dilation = _three(c["stride"]), _three(c["dilation"])
    if isinstance(c["padding"], str):
        extent = [d * (k - 1) for d, k in zip(dilation, weight.array.shape[2:], strict=True)]
        before = [0] * 3 if c["padding"] == "valid" else [e // 2 for e in extent]
        after = [0] * 3 if c["padding"] == "valid" else [e - e // 2 for e in extent]
    else:
        before = after = _three(c["padding"])
    window = Window(weight.array.shape[2:], stride, [*before, *after], dilation)
    return depth.conv3d(c.b, c.site, c.x, weight, c["bias"], window, c["groups"])


def _volume(rule: Callable[[Call], Act]) -> Callable[[Call], Act]:
    """Extend a rule for (N, C, D, H, W) to (C, D, H, W), whose dimension 0 is the graph's batch."""

    def wrapped(c: Call) -> Act:
        if c.rank != 4:
            return rule(c)
        x = reshape(c.b, c.at("volume"), c.x, [1, *c.sizes])
        made = rule(Call(c.b, c.at("pooled"), {**c.args, "self": x}, None))
        return reshape(c.b, c.site, made, [int(d or 0) for d in c.b.shapes[made.tensor][2:]])

    return wrapped


def _max_pool3d(c: Call) -> Act:
    return depth.max_pool3d(c.b, c.site, c.x, _pooling(c, _three), c["ceil_mode"])


def _avg_pool3d(c: Call) -> Act:
    window, divisor = _pooling(c, _three), c["divisor_override"]
    if divisor is None:
        counted = c["count_include_pad"]
        return depth.avg_pool3d(c.b, c.site, c.x, window, c["ceil_mode"], counted)
    if c["ceil_mode"]:
        raise Unsupported("divisor_override is not supported with ceil_mode; scale the result instead")
    mean = depth.avg_pool3d(c.b, c.at("mean"), c.x, window, False, True)
    return c.binary("mul", mean, operand(float(np.prod(window.kernel)) / divisor))


def max_pool_with_places(c: Call) -> list[Any]:
    """The largest number of each window, and, when it is asked for, its place in its channel."""
    window = _pooling(c, pair)
    y = max_pool(c.b, c.site, c.x, window, c["ceil_mode"])

    def places() -> Act:
        windows = window.counted(image_size(c.b, y))
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
    return unfold(c.b, c.site, c.x, _pooling(c, pair).over(image_size(c.b, c.x)))


def _fold(c: Call) -> Act:
    if c.out_shape is None:
        raise Unsupported("its size must not depend on the input")
    size = [int(d or 0) for d in c.out_shape[2:]]
    return fold(c.b, c.site, c.x, size, _pooling(c, pair).over(size))


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
