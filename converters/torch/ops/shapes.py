"""ATen operations that move, join, cut, repeat or rename data → graph nodes. No torch import."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose import tensors
from converters.decompose.shapes import BATCH_HINT, axis_of, reshape, sizes_of, transpose
from converters.torch.call import Call, Rule, constant, operand


def _cat(c: Call) -> Act:
    given = [operand(value) for value in c["tensors"]]
    first = next(value for value in given if isinstance(value, Act))
    if len(given) == 1:
        return first
    axis = axis_of(c["dim"], len(c.b.shapes[first.tensor]))
    return tensors.join(c.b, c.site, given, axis)


def _reshape(c: Call) -> Act:
    shape = c.out_shape
    if shape is None or not shape or shape[0] is not None or any(d is None for d in shape[1:]):
        raise Unsupported(BATCH_HINT)
    return reshape(c.b, c.site, c.x, [int(d or 0) for d in shape[1:]])


def _permute(c: Call) -> Act:
    return transpose(c.b, c.site, c.x, c["dims"])


def _transpose(c: Call) -> Act:
    rank = len(c.b.shapes[c.x.tensor])
    first, second = (axis_of(c[dim], rank) for dim in ("dim0", "dim1"))
    order = list(range(rank))
    order[first], order[second] = second, first
    return transpose(c.b, c.site, c.x, order)


#: PyTorch's names of the ways to pad.
_PAD_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _pad_as(mode: str) -> Rule:
    return lambda c: _pad(Call(c.b, c.site, {**c.args, "pad": c["padding"], "mode": mode}, c.out_shape))


def _pad(c: Call) -> Act:
    mode = c.args.get("mode", "constant")
    if mode not in _PAD_MODES:
        raise Unsupported(f"padding mode '{mode}' is not known")
    rank = len(c.b.shapes[c.x.tensor])
    before, after = [0] * rank, [0] * rank
    for i, amount in enumerate(list(c["pad"])):  # pairs, from the last dimension forwards
        (after if i % 2 else before)[rank - 1 - i // 2] = amount
    return tensors.pad(c.b, c.site, c.x, before, after, float(c.args.get("value") or 0.0), _PAD_MODES[mode])


def _split(c: Call) -> list[Value]:
    axis = axis_of(c["dim"], len(c.b.shapes[c.x.tensor]))
    total = int(c.b.shapes[c.x.tensor][axis] or 0)
    sizes: Any = c.args.get("split_size", c.args.get("split_sizes"))
    if isinstance(sizes, int):
        sizes = [min(sizes, total - start) for start in range(0, total, sizes)]
    parts: list[Value] = []
    start = 0
    for i, size in enumerate(sizes):
        parts.append(tensors.select(c.b, c.site.sub(str(i)), c.x, axis, start, start + size))
        start += size
    return parts


def _slice(c: Call) -> Act:
    shape = c.b.shapes[c.x.tensor]
    start, stop, step = c["start"] or 0, c["end"], c["step"]
    stop = 2**63 - 1 if stop is None else stop
    if not all(isinstance(v, int) for v in (start, stop, step)):
        raise Unsupported("the bounds of a slice must be numbers")
    if c["dim"] % len(shape) == 0 and start == 0 and stop >= 2**62 and step == 1:
        return c.x
    return tensors.select(c.b, c.site, c.x, c["dim"], start, stop, step)


def _select(c: Call) -> Act:
    if not isinstance(c["index"], int):
        raise Unsupported("the index must be a number")
    return tensors.gather(c.b, c.site, c.x, c.axis(c["dim"]), np.array(c["index"]))


def _index_select(c: Call) -> Act:
    indices = constant(c["index"], "indices")
    assert indices is not None
    return tensors.gather(c.b, c.site, c.x, c.axis(c["dim"]), indices.array)


def _index(c: Call) -> Act:
    """Rule of x[:, :, indices] with constant indices of one axis."""
    places = [(i, v) for i, v in enumerate(c["indices"]) if v is not None]
    if len(places) != 1 or not isinstance(places[0][1], Const) or places[0][1].array.dtype.kind not in "iu":
        raise Unsupported("only constant integer indices of one dimension are supported")
    axis, indices = places[0]
    return tensors.gather(c.b, c.site, c.x, c.axis(axis), indices.array)


def _unbind(c: Call) -> list[Value]:
    axis = c.axis(c["dim"])
    return [tensors.gather(c.b, c.site.sub(str(i)), c.x, axis, np.array(i)) for i in range(c.sizes[axis - 1])]


def _flip(c: Call) -> Act:
    x = c.x
    for i, dim in enumerate(c["dims"]):
        axis = c.axis(dim)
        size = c.sizes[axis - 1]
        x = tensors.slice_axis(
            c.b, c.at("" if i == len(c["dims"]) - 1 else f"axis{axis}"), x, axis, size - 1, size, -1
        )
    return x


def _roll(c: Call) -> Act:
    x = c.x
    for i, (shift, dim) in enumerate(zip(c["shifts"], c["dims"], strict=True)):
        axis = c.axis(dim)
        places = np.roll(np.arange(c.sizes[axis - 1]), shift)
        x = tensors.gather(c.b, c.at("" if i == len(c["dims"]) - 1 else f"axis{axis}"), x, axis, places)
    return x


def _stack(c: Call) -> Act:
    given = [operand(value) for value in c["tensors"]]
    first = next(value for value in given if isinstance(value, Act))
    sizes = sizes_of(c.b, first)
    axis = axis_of(c["dim"], len(sizes) + 2)
    apart = [*sizes[: axis - 1], 1, *sizes[axis - 1 :]]
    parts: list[Value] = []
    for i, value in enumerate(given):
        if isinstance(value, Const):
            raise Unsupported("stacking with a constant is not supported")
        parts.append(reshape(c.b, c.at(f"part{i}"), value, apart))
    return tensors.join(c.b, c.site, parts, axis)


def _expand(c: Call) -> Act:
    shape = c.out_shape
    if shape is None or shape[0] is not None or len(shape) != c.rank:
        raise Unsupported(BATCH_HINT)
    return tensors.expand(c.b, c.site, c.x, [int(d or 0) for d in shape[1:]])


def _repeat(c: Call) -> Act:
    repeats: list[int] = list(c["repeats"] if "repeats" in c.args else c["dims"])
    if len(repeats) != c.rank or repeats[0] != 1:
        raise Unsupported(BATCH_HINT)
    return tensors.tile(c.b, c.site, c.x, repeats[1:])


def _channel_shuffle(c: Call) -> Act:
    """Rule of channel shuffle: (g, C/g) → (C/g, g) of the channels (Zhang et al. 2018, fig. 1)."""
    channels, groups = c.sizes[0], c["groups"]
    return tensors.gather(
        c.b, c.site, c.x, 1, np.arange(channels).reshape(groups, channels // groups).T.reshape(-1)
    )


_RESHAPES = (
    "view.default",
    "_unsafe_view.default",
    "reshape.default",
    "flatten.using_ints",
    "unflatten.int",
    "squeeze.dim",
    "squeeze.dims",
    "squeeze.default",
    "unsqueeze.default",
)
RULES: dict[str, Rule] = {
    "cat.default": _cat,
    "stack.default": _stack,
    **dict.fromkeys(_RESHAPES, _reshape),
    "permute.default": _permute,
    "transpose.int": _transpose,
    "t.default": lambda c: transpose(c.b, c.site, c.x, list(reversed(range(c.rank)))),
    "pad.default": _pad,
    "constant_pad_nd.default": _pad,
    "reflection_pad2d.default": _pad_as("reflect"),
    "reflection_pad1d.default": _pad_as("reflect"),
    "replication_pad2d.default": _pad_as("replicate"),
    "replication_pad1d.default": _pad_as("replicate"),
    "split.Tensor": _split,
    "split.sizes": _split,
    "split_with_sizes.default": _split,
    "unbind.int": _unbind,
    "slice.Tensor": _slice,
    "select.int": _select,
    "index_select.default": _index_select,
    "index.Tensor": _index,
    "flip.default": _flip,
    "roll.default": _roll,
    "expand.default": _expand,
    "repeat.default": _repeat,
    "tile.default": _repeat,
    "channel_shuffle.default": _channel_shuffle,
}
