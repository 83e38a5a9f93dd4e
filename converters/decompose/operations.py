"""Operations of the source frameworks in terms of the op table, shared by both importers.

Every function appends nodes at ``site`` and returns the result; an operation that changes nothing returns its
input. ``Unsupported`` says, as a hint for the user, why something has no counterpart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, GraphBuilder, Site, Unsupported, Value
from sparsenet.graph import Node
from sparsenet.graph.ops import infer_shape
from sparsenet.graph.ops.windows import conv_output_size

LARGEST = float(np.finfo(np.float32).max)
BATCH_HINT = "works across the batch (dimension 0), which must stay as it is"


def axis_of(axis: int, rank: int) -> int:
    """``axis`` counted from the front; Unsupported if it is the batch."""
    front = axis + rank if axis < 0 else axis
    if not 0 <= front < rank:
        raise Unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions")
    if front == 0:
        raise Unsupported(BATCH_HINT)
    return front


def pair(value: int | Sequence[int]) -> list[int]:
    """One number for both directions, or one for each."""
    values = [value] if isinstance(value, int) else [int(v) for v in value]
    if len(values) not in (1, 2):
        raise Unsupported(f"only two-dimensional windows are supported, got {values}")
    return values * 2 if len(values) == 1 else values


def same_padding(
    size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], upper: bool
) -> list[int]:
    """[top, left, bottom, right] so that ceil(size / stride) rows come out; an odd rest goes below if ``upper``."""
    before, after = [], []
    for i in range(len(kernel)):
        extent = dilation[i] * (kernel[i] - 1) + 1
        total = max(0, (math.ceil(size[i] / stride[i]) - 1) * stride[i] + extent - size[i])
        small, large = total // 2, total - total // 2
        before.append(small if upper else large)
        after.append(large if upper else small)
    return before + after


def image_size(b: GraphBuilder, x: Act) -> tuple[int, int]:
    """(H, W) of an image tensor; Unsupported for anything else."""
    shape = b.shapes[x.tensor]
    if len(shape) != 4:
        raise Unsupported(f"only images (N, C, H, W) are supported here, got {shape}")
    return int(shape[2] or 0), int(shape[3] or 0)


def conv2d(
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
    """``padding`` is [top, left, bottom, right]; ``weight`` (C_out, C_in/groups, K_h, K_w) and ``bias`` constants."""
    if not isinstance(weight, Const) or not isinstance(bias, Const | None):
        raise Unsupported("convolution weights must be constants, not computed from the input")
    if weight.array.ndim != 4:
        raise Unsupported(f"only two-dimensional convolutions are supported, got weight {weight.array.shape}")
    attrs = {
        "stride": pair(stride),
        "padding": list(padding),
        "dilation": pair(dilation),
        "groups": int(groups),
    }
    return b.node("conv2d", site, _weighted(b, site, x, weight, bias), attrs)


def linear(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> Act:
    """``weight`` (F_out, F_in), ``bias`` (F_out,)."""
    shape = b.shapes[x.tensor]
    if len(shape) != 2:
        raise Unsupported(f"linear layers take (N, F), got {shape}; flatten first or use a 1x1 convolution")
    return b.node("linear", site, _weighted(b, site, x, weight, bias))


def _weighted(b: GraphBuilder, site: Site, x: Act, weight: Const, bias: Const | None) -> list[str]:
    names = [x.tensor, b.constant(weight.array, weight.name or f"{site.name}.weight")]
    if bias is not None:
        names.append(b.constant(bias.array, bias.name or f"{site.name}.bias"))
    return names


def batch_norm(
    b: GraphBuilder, site: Site, x: Act, parameters: Sequence[Value | None], eps: float, lead: int = 0
) -> Act:
    """``parameters``: scale, bias, mean, var, each (C,); a missing scale is 1, a missing bias 0.

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


def scalar(value: float) -> Const:
    """A number as a constant of one element."""
    return Const(np.full(1, value, np.float32))


def aligned(b: GraphBuilder, site: Site, values: Sequence[Value], lead: int = 0) -> list[str]:
    """Names of operands whose shapes broadcast as NumPy broadcasts those of the source network.

    ``lead``: dimensions of the graph's tensors that the source network does not know (see ``onnx_call.Call``).
    """
    ranks = [len(b.shapes[v.tensor]) - lead if isinstance(v, Act) else v.array.ndim for v in values]
    rank = max(ranks)
    names = []
    for i, (value, own) in enumerate(zip(values, ranks, strict=True)):
        if isinstance(value, Act):
            if own < rank:
                if not lead:
                    raise Unsupported("operands of different rank move the batch; reshape one of them first")
                sizes = [int(d or 0) for d in b.shapes[value.tensor][1:]]
                value = reshape(b, site.sub(f"operand{i}"), value, [1] * (rank - own) + sizes)
            names.append(value.tensor)
            continue
        if not lead and own == rank and rank and value.array.shape[0] != 1:
            raise Unsupported("the constant has a batch dimension of its own")
        if value.array.size == 0:
            raise Unsupported("tensors without elements are not supported")
        if np.isfinite(value.array).all():
            names.append(b.constant(value.array, value.name or f"{site.name}.operand{i}"))
        else:
            names.append(_infinite(b, site.sub(f"operand{i}"), value, rank + lead).tensor)
    return names


def materialize(b: GraphBuilder, site: Site, value: Const, rank: int) -> Act:
    """A constant as a tensor with a batch, of ``rank`` dimensions: what takes activations only takes it then.

    The batch comes from the network's first input: a choice between one of its numbers and the constant that always
    falls on the constant.
    """
    if not np.isfinite(value.array).all():
        return _infinite(b, site, value, rank)
    source = b.graph.inputs[0].name
    count = math.prod(int(d or 0) for d in b.shapes[source][1:])
    flat = reshape(b, site.sub("batch"), Act(source), [count])
    if count > 1:
        attrs = {"axis": 1, "start": 0, "count": 1, "step": 1}
        flat = b.node("slice", site.sub("first"), [flat.tensor], attrs)
    first = reshape(b, site.sub("any"), flat, [1] * (rank - 1))
    names = [
        b.constant(np.zeros((1,) * (rank - 1)), f"{site.name}.never"),
        first.tensor,
        b.constant(value.array, value.name or f"{site.name}.value"),
    ]
    return b.node("where", site, names)


def _infinite(b: GraphBuilder, site: Site, value: Const, rank: int) -> Act:
    """A constant that holds infinities, which a graph's constants may not: they are log(0), and its negative."""
    if np.isnan(value.array).any():
        raise Unsupported("the constant holds NaN")
    result, left = "", value.array.astype(np.float32)
    zero = materialize(b, site.sub("zero"), Const(np.zeros((1,) * (rank - 1), np.float32)), rank)
    edge = b.node("log", site.sub("below"), [zero.tensor])
    for part, number in (("below", -math.inf), ("above", math.inf)):
        there = left == number
        if not there.any():
            continue
        if number > 0:
            edge = negate(b, site.sub("above"), edge)
        left = np.where(there, np.float32(0), left)
        rest = result or b.constant(left, f"{site.name}.finite")
        mask = b.constant(there.astype(np.float32), f"{site.name}.is_{part}")
        result = b.node("where", site.sub(f"{part}_there"), [mask, edge.tensor, rest]).tensor
    return Act(result)


def binary(b: GraphBuilder, site: Site, op: str, left: Value, right: Value, lead: int = 0) -> Act:
    """Arithmetic or comparison with NumPy broadcasting; one side may be a constant."""
    return b.node(op, site, aligned(b, site, [left, right], lead))


def negate(b: GraphBuilder, site: Site, x: Act) -> Act:
    """-x."""
    return binary(b, site, "mul", x, scalar(-1.0))


def divide(b: GraphBuilder, site: Site, left: Value, right: Value, lead: int = 0) -> Act:
    """Division; by a constant as multiplication with its reciprocal (one float32 rounding apart)."""
    if not isinstance(right, Const) or (right.array == 0).any():
        return binary(b, site, "div", left, right, lead)
    if np.isnan(right.array).any():
        raise Unsupported("division by NaN")
    return binary(b, site, "mul", left, Const(1.0 / right.array.astype(np.float64)), lead)


def clip(b: GraphBuilder, site: Site, x: Act, low: float | None, high: float | None) -> Act:
    """min(max(x, low), high); a missing bound is the largest float32."""
    low = -LARGEST if low is None else max(float(low), -LARGEST)
    high = LARGEST if high is None else min(float(high), LARGEST)
    if low == -LARGEST and high == LARGEST:
        return x
    if low == 0.0 and high == LARGEST:
        return b.node("relu", site, [x.tensor])
    return b.node("clip", site, [x.tensor], {"min": low, "max": high})


def reshape(b: GraphBuilder, site: Site, x: Act, target: Sequence[int]) -> Act:
    """``target`` without the batch, fully known."""
    shape = tuple(target)
    if b.shapes[x.tensor][1:] == shape:
        return x
    if len(shape) == 1:
        return b.node("flatten", site, [x.tensor])
    if any(d < 1 for d in shape):
        raise Unsupported("tensors without elements are not supported")
    return b.node("reshape", site, [x.tensor], {"shape": list(shape)})


def transpose(b: GraphBuilder, site: Site, x: Act, perm: Sequence[int]) -> Act:
    """Reorder dimensions; the batch stays in front."""
    rank = len(b.shapes[x.tensor])
    order = [p + rank if p < 0 else p for p in perm]
    if order == list(range(rank)):
        return x
    if order[0] != 0:
        raise Unsupported(BATCH_HINT)
    return b.node("transpose", site, [x.tensor], {"perm": order})


def softmax(b: GraphBuilder, site: Site, x: Act, axis: int) -> Act:
    """Softmax along one axis, which may count from the back."""
    return b.node("softmax", site, [x.tensor], {"axis": axis_of(axis, len(b.shapes[x.tensor]))})


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
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
) -> Act:
    """Max pooling, taking over a padding with -inf in front of it; ``padding`` is [top, left, bottom, right]."""
    image_size(b, x)
    attrs = {
        "kernel": pair(kernel),
        "stride": pair(stride),
        "padding": list(padding),
        "dilation": pair(dilation),
        "ceil_mode": bool(ceil_mode),
    }
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
    """Both paddings together, enlarged behind the data where ceil_mode gave one window more."""
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
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Act:
    """Average pooling; ``padding`` is [top, left, bottom, right]."""
    image_size(b, x)
    attrs = {
        "kernel": pair(kernel),
        "stride": pair(stride),
        "padding": list(padding),
        "ceil_mode": bool(ceil_mode),
        "count_include_pad": bool(count_include_pad),
    }
    return b.node("avg_pool2d", site, [x.tensor], attrs)


def resize(b: GraphBuilder, site: Site, x: Act, size: Sequence[int], mode: str, coordinates: str) -> Act:
    """Resampling to ``size`` (H, W)."""
    if list(image_size(b, x)) == list(size):
        return x
    attrs = {"size": [int(s) for s in size], "mode": mode, "coordinates": coordinates}
    return b.node("resize", site, [x.tensor], attrs)
