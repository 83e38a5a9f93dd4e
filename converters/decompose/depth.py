"""Lowering of windows with a third direction, depth: (N, C, D, H, W) in terms of images, shared by both importers."""

from __future__ import annotations

from collections.abc import Callable

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.convolution import conv2d
from converters.decompose.pooling import avg_pool, max_pool
from converters.decompose.shapes import reshape, sizes_of
from converters.decompose.tensors import join, slice_axis
from converters.decompose.window import Window
from sparsenet.graph.ops.windows import conv_output_size

#: Convolutions that one over depth may be split into.
MOST_SLICES = 256


def volume_size(b: GraphBuilder, x: Act) -> list[int]:
    """The sizes [C, D, H, W] of a volume; Unsupported for anything else."""
    sizes = sizes_of(b, x)
    if len(sizes) != 4:
        raise Unsupported(f"only volumes (N, C, D, H, W) are supported here, got {b.shapes[x.tensor]}")
    return sizes


def conv3d(
    b: GraphBuilder,
    site: Site,
    x: Act,
    weight: Value,
    bias: Value | None,
    window: Window,
    groups: int,
) -> Act:
    """Convolution of a volume: each slice of the result is a convolution of the slices its windows see, as channels.

    The window has three directions, its padding is [front, top, left, back, bottom, right]; ``weight`` is (C_out,
    C_in/groups, K_d, K_h, K_w).
    """
    if not isinstance(weight, Const) or weight.array.ndim != 5:
        raise Unsupported("convolution weights must be constants, not computed from the input")
    channels, depth, height, width = volume_size(b, x)
    c_out, per_group, taps = weight.array.shape[:3]
    stride, padding, dilation = window.stride[0], window.padding, window.dilation[0]
    count = conv_output_size(depth, taps, stride, padding[0], padding[3], dilation)
    if not 1 <= count <= MOST_SLICES:
        raise Unsupported(f"its result would have {count} slices; 1 to {MOST_SLICES} are supported")
    slices = []
    for i in range(count):
        part = site.sub(f"slice{i}")
        first = i * stride - padding[0]
        seen = [k for k in range(taps) if 0 <= first + k * dilation < depth]
        if not seen:
            raise Unsupported("a window lies in the padding alone")
        step = dilation if len(seen) > 1 else 1
        band = slice_axis(b, part.sub("seen"), x, 2, first + seen[0] * dilation, len(seen), step)
        image = reshape(b, part.sub("image"), band, [channels * len(seen), height, width])
        kernel = weight.array[:, :, seen].reshape(c_out, per_group * len(seen), *weight.array.shape[3:])
        span = "" if len(seen) == taps == 1 else f".{seen[0]}_{seen[-1]}"
        flat = Const(kernel, weight.name and weight.name + span)
        y = conv2d(b, part.sub("product"), image, flat, bias, _over_image(window), groups)
        out = sizes_of(b, y)
        slices.append(reshape(b, part if count > 1 else site, y, [out[0], 1, *out[1:]]))
    return join(b, site, slices, 2)


def max_pool3d(b: GraphBuilder, site: Site, x: Act, window: Window, ceil_mode: bool) -> Act:
    """Max pooling of a volume: over depth first, then over rows and columns."""
    return _separately(
        b, site, x, window, lambda part, image, over: max_pool(b, part, image, over, ceil_mode)
    )


def avg_pool3d(
    b: GraphBuilder, site: Site, x: Act, window: Window, ceil_mode: bool, count_include_pad: bool
) -> Act:
    """Mean of each window; its count is the product of its counts over depth and over the image."""

    def pool(part: Site, image: Act, over: Window) -> Act:
        return avg_pool(b, part, image, over, ceil_mode, count_include_pad)

    return _separately(b, site, x, window, pool)


def _over_depth(window: Window) -> Window:
    """A window over depth, in the rows of an image whose columns stay as they are."""
    front, back = window.padding[0], window.padding[3]
    return Window([window.kernel[0], 1], [window.stride[0], 1], [front, 0, back, 0], [window.dilation[0], 1])


def _over_image(window: Window) -> Window:
    """A window without its direction over depth."""
    padding = [*window.padding[1:3], *window.padding[4:]]
    return Window(window.kernel[1:], window.stride[1:], padding, window.dilation[1:])


def _separately(
    b: GraphBuilder, site: Site, x: Act, window: Window, pool: Callable[[Site, Act, Window], Act]
) -> Act:
    """A pooling over depth and then over the image."""
    channels, depth, height, width = volume_size(b, x)
    over_depth, over_image = _over_depth(window), _over_image(window)
    if over_depth.kernel[0] > 1 or any(over_depth.padding):
        image = reshape(b, site.sub("depth"), x, [channels, depth, height * width])
        x = pool(site.sub("over_depth"), image, over_depth)
        depth = sizes_of(b, x)[1]
    elif over_depth.stride[0] > 1:
        depth = (depth - 1) // over_depth.stride[0] + 1
        x = slice_axis(b, site.sub("strided"), x, 2, 0, depth, over_depth.stride[0] if depth > 1 else 1)
    image = reshape(b, site.sub("image"), x, [channels * depth, height, width])
    if [*over_image.kernel, *over_image.stride] != [1, 1, 1, 1] or any(over_image.padding):
        image = pool(site.sub("pooled"), image, over_image)
    return reshape(b, site, image, [channels, depth, *sizes_of(b, image)[1:]])
