"""Poolings of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported
from converters.decompose.convolution import conv2d
from converters.decompose.elementwise import divide
from converters.decompose.shapes import image_size, sizes_of
from converters.decompose.window import Window
from sparsenet.graph import Node
from sparsenet.graph.ops import infer_shape
from sparsenet.graph.ops.windows import conv_output_size


def global_pool(
    b: GraphBuilder, site: Site, x: Act, axes: Sequence[int] | None, keep: bool, kind: str
) -> Act:
    """Mean (``kind`` "avg") or maximum ("max") over H and W; the only reduction the op table knows."""
    height, width = image_size(b, x)
    if axes is None or sorted(a + 4 if a < 0 else a for a in axes) != [2, 3]:
        raise Unsupported(f"only a reduction over H and W (axes 2 and 3) is supported, got axes {axes}")
    pool = site if keep else site.sub("pool")
    if kind == "avg":
        pooled = b.node("global_avg_pool2d", pool, [x.tensor])
    else:
        attrs = {"kernel": [height, width], "stride": [height, width]}
        pooled = b.node("max_pool2d", pool, [x.tensor], attrs)
    return pooled if keep else b.node("flatten", site, [pooled.tensor])


def adaptive_pool(b: GraphBuilder, site: Site, x: Act, size: Sequence[int | None], kind: str) -> Act:
    """Pooling to a given output size, where every window is the same."""
    have = image_size(b, x)
    want = [h if s is None else int(s) for s, h in zip(size, have, strict=True)]
    if want == list(have):
        return x
    if want == [1, 1]:
        return global_pool(b, site, x, [2, 3], True, kind)
    if any(h % w for h, w in zip(have, want, strict=True)):
        raise Unsupported(
            f"windows differ in size from {have} to {tuple(want)}; use a size that divides {have}"
        )
    kernel = [h // w for h, w in zip(have, want, strict=True)]
    return b.node(f"{kind}_pool2d", site, [x.tensor], {"kernel": kernel, "stride": kernel})


def max_pool(
    b: GraphBuilder,
    site: Site,
    x: Act,
    window: Window,
    ceil_mode: bool,
) -> Act:
    """Max pooling, taking over a padding with -inf in front of it."""
    image_size(b, x)
    attrs: dict[str, Any] = window.attrs("kernel", "stride", "padding", "dilation")
    attrs["ceil_mode"] = bool(ceil_mode)
    if x.tensor in b.minus_inf:
        source, extra = b.minus_inf[x.tensor]
        wanted = infer_shape(
            Node("max_pool2d", site.name, [x.tensor], ["y"], attrs), [b.shapes[x.tensor]], {}
        )
        attrs["padding"] = _padding_for(b, Act(source), attrs, extra, [int(d or 0) for d in wanted[2:]])
        attrs["ceil_mode"] = False
        x = Act(source)
    return b.node("max_pool2d", site, [x.tensor], attrs)


def _padding_for(b: GraphBuilder, x: Act, attrs: dict, extra: list[int], wanted: list[int]) -> list[int]:
    """The sum of both paddings, enlarged behind the data where ceil_mode gave one window more."""
    padding = [p + e for p, e in zip(attrs["padding"], extra, strict=True)]
    for i, size in enumerate(image_size(b, x)):
        kernel, stride, dilation = (attrs[key][i] for key in ("kernel", "stride", "dilation"))
        if conv_output_size(size, kernel, stride, padding[i], padding[i + 2], dilation) < wanted[i]:
            padding[i + 2] = (wanted[i] - 1) * stride + dilation * (kernel - 1) + 1 - size - padding[i]
    return padding


def avg_pool(
    b: GraphBuilder,
    site: Site,
    x: Act,
    window: Window,
    ceil_mode: bool,
    count_include_pad: bool,
) -> Act:
    """Average pooling without dilation."""
    image_size(b, x)
    counts = {"ceil_mode": bool(ceil_mode), "count_include_pad": bool(count_include_pad)}
    attrs = window.attrs("kernel", "stride", "padding")
    return b.node("avg_pool2d", site, [x.tensor], {**attrs, **counts})


def average_by_convolution(
    b: GraphBuilder,
    site: Site,
    x: Act,
    window: Window,
    count_padding: bool,
) -> Act:
    """Average pooling of any dilation and padding: a depthwise convolution with ones, divided by what each counts."""
    total = window_sum(b, site.sub("sum"), x, window)
    counts: np.ndarray = np.array([[window.kernel[0] * window.kernel[1]]], np.float32)
    if not count_padding:
        per_axis = []
        out = image_size(b, total)
        windows = window.counted(out)
        for i, size in enumerate(image_size(b, x)):
            b.require_memory((2, out[i], window.kernel[i]), "the counts of an average pooling")
            places = windows.first(i)[:, None] + windows.taps(i)
            per_axis.append(((places >= 0) & (places < size)).sum(1))
        counts = np.outer(*per_axis)
    if (counts == 0).any():
        raise Unsupported("a window lies in the padding alone")
    return divide(b, site, total, Const(counts.astype(np.float32)))


def window_sum(
    b: GraphBuilder,
    site: Site,
    x: Act,
    window: Window,
) -> Act:
    """Sums over windows, zeros in the padding."""
    channels = sizes_of(b, x)[0]
    b.require_memory((channels, 1, *window.kernel), "the kernel of a window sum")
    ones = Const(np.ones((channels, 1, *window.kernel), np.float32))
    return conv2d(b, site, x, ones, None, window, channels)
