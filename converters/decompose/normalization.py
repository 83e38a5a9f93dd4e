"""Normalizations with the numbers of training, of a group of channels, or of their neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from converters.decompose.convolution import conv2d
from converters.decompose.elementwise import binary, scalar
from converters.decompose.shapes import reshape, sizes_of
from converters.decompose.window import PIXEL


def batch_norm(
    b: GraphBuilder, site: Site, x: Act, parameters: Sequence[Value | None], eps: float, lead: int = 0
) -> Act:
    """Batch normalization; ``parameters``: scale, bias, mean, var, each (C,); a missing scale is 1, a missing bias 0.

    ``x``: (N, C, ...) of any rank. ``lead``: dimensions of it that the source network does not know, in front.
    """
    shape = b.shapes[x.tensor]
    if not lead and len(shape) not in (2, 4):
        sizes = [int(d or 0) for d in shape[1:]]
        image = reshape(b, site.sub("image"), x, [sizes[0], 1, math.prod(sizes[1:])])
        return reshape(b, site, batch_norm(b, site.sub("normalized"), image, parameters, eps), sizes)
    channels = int(shape[1 + lead] or 0)
    found: list[Const] = []
    for part, value in zip(("weight", "bias", "running_mean", "running_var"), parameters, strict=True):
        if value is None and part.startswith("running"):
            raise Unsupported(
                "it normalises with the statistics of the batch; train it with running statistics"
            )
        if value is None:
            value = Const(np.full(channels, 1.0 if part == "weight" else 0.0, np.float32))
        if not isinstance(value, Const):
            raise Unsupported("batch norm parameters must be constants, not computed from the input")
        if part == "running_var" and not np.all(value.array + eps > 0):
            raise Unsupported("its variance is negative or NaN")
        found.append(Const(value.array, value.name or f"{site.name}.{part}"))
    if not lead:
        names = [x.tensor, *(b.constant(part.array, part.name) for part in found)]
        return b.node("batch_norm", site, names, {"eps": float(eps)})
    weight, bias, mean, variance = (part.array.astype(np.float64) for part in found)
    scale = weight / np.sqrt(variance + eps)
    behind = (channels, *(1,) * (len(shape) - lead - 2))
    scaled = binary(b, site.sub("scaled"), "mul", x, Const(scale.reshape(behind)))
    return binary(b, site, "add", scaled, Const((bias - mean * scale).reshape(behind)))


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
    squares = binary(b, site.sub("squares"), "mul", x, x)
    total = conv2d(b, site.sub("total"), squares, weight, offset, PIXEL, 1)
    logarithm = b.node("log", site.sub("log"), [total.tensor])
    scaled = binary(b, site.sub("exponent"), "mul", logarithm, scalar(-beta))
    factor = b.node("exp", site.sub("factor"), [scaled.tensor])
    return binary(b, site, "mul", x, factor)


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
    y = reshape(b, site.sub("groups"), x, [groups, channels // groups * rest])
    y = normalize(b, site.sub("normalized"), y, 2, eps)
    if scale is None and shift is None:
        return reshape(b, site, y, sizes)
    y = reshape(b, site.sub("channels"), y, [channels, 1, rest])
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
    return reshape(b, site, y, sizes)
