"""A transposed convolution is a convolution whose outputs are interleaved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported
from converters.decompose.convolution import conv2d
from converters.decompose.shapes import depth_to_space, image_size
from converters.decompose.tensors import pad
from converters.decompose.window import Window


def conv_transpose(
    b: GraphBuilder,
    site: Site,
    x: Act,
    weight: Const | None,
    bias: Const | None,
    window: Window,
    groups: int,
    output_padding: Sequence[int],
) -> Act:
    """Transposed convolution, weight (C_in, C_out/groups, K_h, K_w); the window's padding is cut off the result.

    Output pixels of one phase (row and column modulo the stride) are a convolution of the input with every stride-th
    tap of the flipped kernel. All phases are computed as channels of one convolution and interleaved; kernels that are
    no multiple of the stride are filled up with zeros, which sparse kernels skip (Shi et al. 2016, appendix).
    """
    if weight is None or weight.array.ndim != 4:
        raise Unsupported("a transposed convolution needs a constant weight of two spatial dimensions")
    (s_h, s_w), (d_h, d_w), padding = window.stride, window.dilation, window.padding
    c_in, per_group, k_h, k_w = weight.array.shape
    size = image_size(b, x)
    extent = (d_h * (k_h - 1) + 1, d_w * (k_w - 1) + 1)
    numbers = list(zip(window.stride, extent, output_padding, padding[:2], padding[2:], strict=True))
    for n, (step, reached, extra, *cut) in zip(size, numbers, strict=True):
        if (n - 1) * step + reached + extra <= sum(cut):
            raise Unsupported(f"padding {list(padding)} leaves nothing of the result")
    axes = [_phases(*axis) for axis in numbers]
    reach = [axis.reach for axis in axes]
    b.require_memory(
        (c_in, per_group, reach[0] * s_h, reach[1] * s_w), "the kernel of a transposed convolution"
    )
    # The kernel with its dilation filled in by zeros: (C_in, C_out/g, taps · s_h, taps · s_w).
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
    seen = Window(reach, [1, 1], around, [1, 1])
    y = conv2d(b, site.sub("phases"), x, Const(kernel, named), repeated, seen, groups)
    y = depth_to_space(b, site.sub("interleaved"), y, [s_h, s_w], depth_first=False)
    return pad(b, site, y, [0, 0, *(axis.first for axis in axes)], [0, 0, *(axis.last for axis in axes)], 0.0)


@dataclass(frozen=True)
class _Phases:
    """One axis of a transposed convolution as phases of a convolution, independent of the input's size.

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
