"""Lowering of layers that the op table does not know, to those it knows; shared by both importers.

Everything here is exact in real arithmetic: a transposed convolution is a convolution whose outputs are interleaved, a
normalization over neighbouring channels a convolution of squares, and so on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported
from converters.decompose import operations as lowering
from converters.decompose.tensors import pad, sizes_of


def depth_to_space(b: GraphBuilder, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    """(N, C · r · s, H, W) → (N, C, H · r, W · s).

    Channels come as C blocks of r · s numbers, or, if ``depth_first``, as r · s blocks of C.
    """
    lowering.image_size(b, x)
    channels, (r, s) = sizes_of(b, x)[0], block
    if channels % (r * s):
        raise Unsupported(f"{channels} channels cannot be arranged in blocks of {r} x {s}")
    return _blocks(b, "depth_to_space", site, x, block, depth_first)


def space_to_depth(b: GraphBuilder, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    """The way back: (N, C, H · r, W · s) → (N, C · r · s, H, W)."""
    (height, width), (r, s) = lowering.image_size(b, x), block
    if height % r or width % s:
        raise Unsupported(f"an image of {height} x {width} cannot be cut into blocks of {r} x {s}")
    return _blocks(b, "space_to_depth", site, x, block, depth_first)


def _blocks(b: GraphBuilder, op: str, site: Site, x: Act, block: Sequence[int], depth_first: bool) -> Act:
    if list(block) == [1, 1]:
        return x
    attrs = {"block": list(block), "depth_first": depth_first}
    return b.node(op, site, [x.tensor], attrs if depth_first else {"block": list(block)})


def conv_transpose(
    b: GraphBuilder,
    site: Site,
    x: Act,
    weight: Const | None,
    bias: Const | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    output_padding: Sequence[int],
) -> Act:
    """Transposed convolution, weight (C_in, C_out/groups, K_h, K_w), padding [top, left, bottom, right].

    Output pixels of one phase (row and column modulo the stride) are a convolution of the input with every stride-th
    tap of the flipped kernel. All phases are computed as channels of one convolution and interleaved; kernels that are
    no multiple of the stride are filled up with zeros, which sparse kernels skip (Shi et al. 2016, appendix).
    """
    if weight is None or weight.array.ndim != 4:
        raise Unsupported("a transposed convolution needs a constant weight of two spatial dimensions")
    (s_h, s_w), (d_h, d_w) = stride, dilation
    c_in, per_group, k_h, k_w = weight.array.shape
    size = lowering.image_size(b, x)
    extent = (d_h * (k_h - 1) + 1, d_w * (k_w - 1) + 1)
    numbers = list(zip(stride, extent, output_padding, padding[:2], padding[2:], strict=True))
    for n, (step, reached, extra, *cut) in zip(size, numbers, strict=True):
        if (n - 1) * step + reached + extra <= sum(cut):
            raise Unsupported(f"padding {list(padding)} leaves nothing of the result")
    axes = [_phases(*axis) for axis in numbers]
    reach = [axis.reach for axis in axes]
    b.require_memory(
        (c_in, per_group, reach[0] * s_h, reach[1] * s_w), "the kernel of a transposed convolution"
    )
    # The kernel with its dilation written out: (C_in, C_out/g, taps · s_h, taps · s_w).
    full = np.zeros((c_in, per_group, reach[0] * s_h, reach[1] * s_w), np.float32)
    top, left = (axis.shift for axis in axes)
    full[:, :, top : top + extent[0] : d_h, left : left + extent[1] : d_w] = weight.array
    apart = full.reshape(groups, c_in // groups, per_group, reach[0], s_h, reach[1], s_w)
    # (g, C_out/g, s_h, s_w, C_in/g, taps, taps); tap t of a phase reads the input t rows further up.
    phases = apart.transpose(0, 2, 4, 6, 1, 3, 5)[..., ::-1, ::-1]
    kernel = phases.reshape(groups * per_group * s_h * s_w, c_in // groups, *reach)
    named = weight.name + ".phases" if weight.name else ""
    repeated = None if bias is None else Const(np.repeat(bias.array, s_h * s_w))
    around = [axis.before for axis in axes] + [axis.after for axis in axes]
    y = lowering.conv2d(
        b, site.sub("phases"), x, Const(kernel, named), repeated, [1, 1], around, [1, 1], groups
    )
    y = depth_to_space(b, site.sub("interleaved"), y, [s_h, s_w], depth_first=False)
    return pad(b, site, y, [0, 0, *(axis.first for axis in axes)], [0, 0, *(axis.last for axis in axes)], 0.0)


@dataclass(frozen=True)
class _Phases:
    """One axis of a transposed convolution as phases of a convolution; all of it whatever the input's size.

    Attributes:
        shift: zeros in front of the kernel.
        reach: taps of a phase.
        before, after: zeros that the convolution sees beside its input.
        first, last: what the interleaved result is padded by at its ends; negative: cut off.
    """

    shift: int
    reach: int
    before: int
    after: int
    first: int
    last: int


def _phases(stride: int, extent: int, extra: int, cut: int, cut_behind: int) -> _Phases:
    """The phases of a kernel of ``extent`` pixels, of whose full result so many are cut off at each end.

    Phases that are cut off whole are not computed. They are shifted so that the result begins with a whole one, unless
    that takes more taps.
    """
    reach = -(-extent // stride)
    shift = -cut % stride
    if extent + shift > reach * stride:
        shift = 0
    skipped = min((cut + shift) // stride, reach - 1)
    # Pixels from the last input pixel's first on.
    behind = extent + extra + shift - cut_behind
    after = max(0, -(-behind // stride) - 1)
    first, last = skipped * stride - cut - shift, behind - (after + 1) * stride
    return _Phases(shift, reach, reach - 1 - skipped, after, first, last)


def local_response(
    b: GraphBuilder, site: Site, x: Act, size: int, alpha: float, beta: float, bias: float
) -> Act:
    """x / (bias + alpha/size · Σ x²)^beta, the sum over ``size`` neighbouring channels (Krizhevsky et al. 2012, 3.3).

    The sum is a 1x1 convolution of the squares with a band matrix.
    """
    channels = sizes_of(b, x)[0]
    b.require_memory((4, channels, channels), "the matrix of a local response normalization")
    distance = np.arange(channels)[None, :] - np.arange(channels)[:, None]
    band = (distance >= -((size - 1) // 2)) & (distance <= size // 2)
    weight = Const((band * (alpha / size)).astype(np.float32)[:, :, None, None])
    offset = Const(np.full(channels, bias, np.float32))
    squares = lowering.binary(b, site.sub("squares"), "mul", x, x)
    total = lowering.conv2d(b, site.sub("total"), squares, weight, offset, [1], [0] * 4, [1], 1)
    logarithm = b.node("log", site.sub("log"), [total.tensor])
    scaled = lowering.binary(b, site.sub("exponent"), "mul", logarithm, lowering.scalar(-beta))
    factor = b.node("exp", site.sub("factor"), [scaled.tensor])
    return lowering.binary(b, site, "mul", x, factor)


def normalize(b: GraphBuilder, site: Site, x: Act, axis: int, eps: float) -> Act:
    """Mean 0 and variance 1 over everything from ``axis`` of the graph's tensor on."""
    return b.node("normalize", site, [x.tensor], {"axis": axis, "eps": float(eps)})


def group_norm(
    b: GraphBuilder, site: Site, x: Act, groups: int, scale: Const | None, shift: Const | None, eps: float
) -> Act:
    """Every group of channels on its own, then scale and shift per channel (Wu & He 2018); (N, C, …)."""
    sizes = sizes_of(b, x)
    channels = sizes[0]
    if channels % groups:
        raise Unsupported(f"{channels} channels cannot be arranged in {groups} groups")
    rest = int(np.prod(sizes[1:]))
    y = lowering.reshape(b, site.sub("groups"), x, [groups, channels // groups * rest])
    y = normalize(b, site.sub("normalized"), y, 2, eps)
    if scale is None and shift is None:
        return lowering.reshape(b, site, y, sizes)
    y = lowering.reshape(b, site.sub("channels"), y, [channels, 1, rest])
    vectors = [
        Const(np.full(channels, 1 - i, np.float32)) if v is None else v for i, v in enumerate((scale, shift))
    ]
    names = [
        b.constant(v.array, v.name or f"{site.name}.{n}")
        for v, n in zip(vectors, ("scale", "shift"), strict=True)
    ]
    if len(sizes) == 3 and sizes[1] == 1:
        return b.node("affine", site, [y.tensor, *names])
    y = b.node("affine", site.sub("scaled"), [y.tensor, *names])
    return lowering.reshape(b, site, y, sizes)


def prelu(b: GraphBuilder, site: Site, x: Act, slope: Const, lead: int = 0) -> Act:
    """max(x, 0) - slope · max(-x, 0), the slope broadcast (He et al. 2015, eq. 1)."""
    if np.unique(slope.array).size == 1:
        return b.node("leaky_relu", site, [x.tensor], {"slope": float(slope.array.flat[0])})
    above = b.node("relu", site.sub("above"), [x.tensor])
    below = b.node("relu", site.sub("below"), [lowering.negate(b, site.sub("negative"), x).tensor])
    scaled = lowering.binary(b, site.sub("scaled"), "mul", below, Const(-slope.array), lead)
    return lowering.binary(b, site, "add", above, scaled)


def mish(b: GraphBuilder, site: Site, x: Act) -> Act:
    """x · tanh(softplus(x)) (Misra 2019)."""
    gate = b.node("softplus", site.sub("softplus"), [x.tensor])
    gate = b.node("tanh", site.sub("tanh"), [gate.tensor])
    return lowering.binary(b, site, "mul", x, gate)


def gelu_tanh(b: GraphBuilder, site: Site, x: Act) -> Act:
    """x · (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))) / 2 = x · sigmoid(2 sqrt(2/pi) (x + 0.044715 x³))."""
    factor = 2 * float(np.sqrt(2 / np.pi))
    square = lowering.binary(b, site.sub("square"), "mul", x, x)
    inner = lowering.binary(b, site.sub("cubic"), "mul", square, lowering.scalar(0.044715 * factor))
    inner = lowering.binary(b, site.sub("linear"), "add", inner, lowering.scalar(factor))
    inner = lowering.binary(b, site.sub("inner"), "mul", x, inner)
    gate = b.node("sigmoid", site.sub("gate"), [inner.tensor])
    return lowering.binary(b, site, "mul", x, gate)


def log_softmax(b: GraphBuilder, site: Site, x: Act, axis: int) -> Act:
    """x - max - log Σ exp(x - max) along an axis of the graph's tensor."""

    def over(part: str, kind: str, value: Act) -> Act:
        return b.node(
            "reduce", site.sub(part), [value.tensor], {"kind": kind, "axes": [axis], "keepdims": True}
        )

    centred = lowering.binary(b, site.sub("centred"), "sub", x, over("max", "max", x))
    powers = b.node("exp", site.sub("exp"), [centred.tensor])
    total = b.node("log", site.sub("log"), [over("sum", "sum", powers).tensor])
    return lowering.binary(b, site, "sub", centred, total)


def linear_last_axis(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> Act:
    """A fully connected layer over the last of several axes, (N, …, F): a 1x1 convolution with that axis in front."""
    sizes = sizes_of(b, x)
    rank = len(sizes) + 1
    front = lowering.transpose(b, site.sub("in_front"), x, [0, rank - 1, *range(1, rank - 1)])
    image = [sizes[-1], *(sizes[:-1] if rank == 4 else [1, int(np.prod(sizes[:-1]))])]
    y = lowering.reshape(b, site.sub("image"), front, image)
    kernel = Const(weight.array[:, :, None, None], weight.name)
    y = lowering.conv2d(b, site.sub("product"), y, kernel, bias, [1], [0] * 4, [1], 1)
    y = lowering.reshape(b, site.sub("shape"), y, [weight.array.shape[0], *sizes[:-1]])
    return lowering.transpose(b, site, y, [0, *range(2, rank), 1])


def average_by_convolution(
    b: GraphBuilder,
    site: Site,
    x: Act,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    count_padding: bool,
) -> Act:
    """Average pooling of any dilation and padding: a depthwise convolution with ones, divided by what each counts."""
    total = window_sum(b, site.sub("sum"), x, kernel, stride, padding, dilation)
    counts: np.ndarray = np.array([[kernel[0] * kernel[1]]], np.float32)
    if not count_padding:
        per_axis = []
        out = lowering.image_size(b, total)
        for i, size in enumerate(lowering.image_size(b, x)):
            b.require_memory((2, out[i], kernel[i]), "the counts of an average pooling")
            places = np.arange(out[i])[:, None] * stride[i] - padding[i] + np.arange(kernel[i]) * dilation[i]
            per_axis.append(((places >= 0) & (places < size)).sum(1))
        counts = np.outer(*per_axis)
    if (counts == 0).any():
        raise Unsupported("a window lies in the padding alone")
    return lowering.divide(b, site, total, Const(counts.astype(np.float32)))


def window_sum(
    b: GraphBuilder,
    site: Site,
    x: Act,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> Act:
    """Sums over windows, zeros in the padding."""
    channels = sizes_of(b, x)[0]
    b.require_memory((channels, 1, *kernel), "the kernel of a window sum")
    ones = Const(np.ones((channels, 1, *kernel), np.float32))
    return lowering.conv2d(b, site, x, ones, None, stride, padding, dilation, channels)
