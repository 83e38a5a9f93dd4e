"""Lowering of windows with a third direction, depth: (N, C, D, H, W) in terms of images, shared by both importers."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.convolution import conv2d
from converters.decompose.pooling import avg_pool, max_pool
from converters.decompose.shapes import reshape, sizes_of
from converters.decompose.tensors import join, slice_axis
from sparsenet.graph.ops.windows import conv_output_size

#: Convolutions that one over depth may be told apart into.
MOST_SLICES = 256


def volume_size(b: GraphBuilder, x: Act) -> list[int]:
    """[C, D, H, W] of a volume; Unsupported for anything else."""
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
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Act:
    """Each slice of the result is a convolution of the slices that its windows see, these as channels.

    ``padding`` is [front, top, left, back, bottom, right]; ``weight`` (C_out, C_in/groups, K_d, K_h, K_w).
    """
    if not isinstance(weight, Const) or weight.array.ndim != 5:
        raise Unsupported("convolution weights must be constants, not computed from the input")
    channels, depth, height, width = volume_size(b, x)
    c_out, per_group, taps = weight.array.shape[:3]
    count = conv_output_size(depth, taps, stride[0], padding[0], padding[3], dilation[0])
    if not 1 <= count <= MOST_SLICES:
        raise Unsupported(f"its result would have {count} slices; 1 to {MOST_SLICES} are supported")
    around, slices = [*padding[1:3], *padding[4:6]], []
    for i in range(count):
        part = site.sub(f"slice{i}")
        first = i * stride[0] - padding[0]
        seen = [k for k in range(taps) if 0 <= first + k * dilation[0] < depth]
        if not seen:
            raise Unsupported("a window lies in the padding alone")
        step = dilation[0] if len(seen) > 1 else 1
        band = slice_axis(b, part.sub("seen"), x, 2, first + seen[0] * dilation[0], len(seen), step)
        image = reshape(b, part.sub("image"), band, [channels * len(seen), height, width])
        kernel = weight.array[:, :, seen].reshape(c_out, per_group * len(seen), *weight.array.shape[3:])
        span = "" if len(seen) == taps == 1 else f".{seen[0]}_{seen[-1]}"
        flat = Const(kernel, weight.name and weight.name + span)
        y = conv2d(b, part.sub("product"), image, flat, bias, stride[1:], around, dilation[1:], groups)
        out = sizes_of(b, y)
        slices.append(reshape(b, part if count > 1 else site, y, [out[0], 1, *out[1:]]))
    return join(b, site, slices, 2)


def max_pool3d(
    b: GraphBuilder,
    site: Site,
    x: Act,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Act:
    """The largest number of each window: over depth first, then over rows and columns."""

    def pool(part: Site, image: Act, over_depth: bool) -> Act:
        window = [_two(values, 1, over_depth) for values in (kernel, stride, dilation)]
        pads = _two(padding[:3], 0, over_depth) + _two(padding[3:], 0, over_depth)
        return max_pool(b, part, image, window[0], window[1], pads, window[2], ceil_mode)

    return _separately(b, site, x, pool, kernel, stride, padding)


def avg_pool3d(
    b: GraphBuilder,
    site: Site,
    x: Act,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Act:
    """The mean of each window; what a window counts is a product of what it counts over depth and over the image."""

    def pool(part: Site, image: Act, over_depth: bool) -> Act:
        window = [_two(values, 1, over_depth) for values in (kernel, stride)]
        pads = _two(padding[:3], 0, over_depth) + _two(padding[3:], 0, over_depth)
        return avg_pool(b, part, image, window[0], window[1], pads, ceil_mode, count_include_pad)

    return _separately(b, site, x, pool, kernel, stride, padding)


def _two(values: Sequence[int], filler: int, over_depth: bool) -> list[int]:
    """Of three directions: depth, and ``filler`` for one that stays as it is; or the other two."""
    return [values[0], filler] if over_depth else list(values[1:])


def _separately(
    b: GraphBuilder,
    site: Site,
    x: Act,
    pool: Callable[[Site, Act, bool], Act],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> Act:
    channels, depth, height, width = volume_size(b, x)
    if kernel[0] > 1 or padding[0] or padding[3]:
        image = reshape(b, site.sub("depth"), x, [channels, depth, height * width])
        x = pool(site.sub("over_depth"), image, True)
        depth = sizes_of(b, x)[1]
    elif stride[0] > 1:
        depth = (depth - 1) // stride[0] + 1
        x = slice_axis(b, site.sub("strided"), x, 2, 0, depth, stride[0] if depth > 1 else 1)
    image = reshape(b, site.sub("image"), x, [channels * depth, height, width])
    if [*kernel[1:], *stride[1:]] != [1, 1, 1, 1] or any(padding[i] for i in (1, 2, 4, 5)):
        image = pool(site.sub("pooled"), image, False)
    return reshape(b, site, image, [channels, depth, *sizes_of(b, image)[1:]])
