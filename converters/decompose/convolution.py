"""Convolutions and fully connected layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.shapes import reshape, sizes_of, transpose
from converters.decompose.window import PIXEL, Window


def same_padding(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], upper: bool
) -> list[int]:
    """The padding [top, left, bottom, right] for ceil(size / stride) rows; an odd rest goes below if ``upper``."""
    before, after = [], []
    for i in range(len(kernel)):
        extent = dilation[i] * (kernel[i] - 1) + 1
        total = max(0, (math.ceil(size[i] / stride[i]) - 1) * stride[i] + extent - size[i])
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return before + after


def conv2d(
    b: GraphBuilder,
    site: Site,
    x: Act,
    weight: Value,
    bias: Value | None,
    window: Window,
    groups: int,
) -> Act:
    """Convolution with constants: ``weight`` (C_out, C_in/groups, K_h, K_w), as large as ``window``, and ``bias``."""
    if not isinstance(weight, Const) or not isinstance(bias, Const | None):
        raise Unsupported("convolution weights must be constants, not computed from the input")
    if weight.array.ndim != 4:
        raise Unsupported(f"only two-dimensional convolutions are supported, got weight {weight.array.shape}")
    attrs = {**window.attrs("stride", "padding", "dilation"), "groups": int(groups)}
    return b.node("conv2d", site, _weighted(b, site, x, weight, bias), attrs)


def linear(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> Act:
    """A fully connected layer with ``weight`` (F_out, F_in) and ``bias`` (F_out,)."""
    shape = b.shapes[x.tensor]
    if len(shape) != 2:
        raise Unsupported(f"linear layers take (N, F), got {shape}; flatten first or use a 1x1 convolution")
    return b.node("linear", site, _weighted(b, site, x, weight, bias))


def _weighted(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> list[str]:
    names = [x.tensor, b.constant(weight.array, weight.name or f"{site.name}.weight")]
    if bias is not None:
        names.append(b.constant(bias.array, bias.name or f"{site.name}.bias"))
    return names


def linear_last_axis(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> Act:
    """A fully connected layer over the last of several axes, (N, …, F): a 1x1 convolution with that axis in front."""
    sizes = sizes_of(b, x)
    rank = len(sizes) + 1
    front = transpose(b, site.sub("in_front"), x, [0, rank - 1, *range(1, rank - 1)])
    image = [sizes[-1], *(sizes[:-1] if rank == 4 else [1, int(np.prod(sizes[:-1]))])]
    y = reshape(b, site.sub("image"), front, image)
    kernel = Const(weight.array[:, :, None, None], weight.name)
    y = conv2d(b, site.sub("product"), y, kernel, bias, PIXEL, 1)
    y = reshape(b, site.sub("shape"), y, [weight.array.shape[0], *sizes[:-1]])
    return transpose(b, site, y, [0, *range(2, rank), 1])
