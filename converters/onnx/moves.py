"""ONNX nodes that move the batch, join or cut it, or tell where it is: samples in, samples out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from converters import batch_axis
from converters.batch_axis import Place
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose import tensors
from converters.decompose.shapes import BATCH_HINT, reshape
from converters.onnx.call import THE_END
from converters.onnx.moved import Moved, places_of
from converters.symbolic.sizes import THE_BATCH, Sizes, settled


def _reshape(m: Moved) -> Act:
    found = m.numbers(1, "shape", 5)
    if found is None:
        raise Unsupported(BATCH_HINT)
    wanted, slopes = [int(v) for v in found[0]], found[1]
    place, shape = m.place, m.shape
    marked = [int(i) for i in np.flatnonzero(slopes)]
    batch = 1 if marked or m.batch is None else m.batch
    known = batch_axis.batched(shape, place, batch)
    copied = (
        []
        if m.call.attrs.get("allowzero", 0)
        else [i for i, d in enumerate(wanted) if d == 0 and i < len(known)]
    )
    for i in copied:
        wanted[i] = known[i]
    if not marked and m.batch is None:  # only what is copied or follows from the rest can depend on the batch
        marked = [i for i in copied if i == place.axis] or [i for i, d in enumerate(wanted) if d == -1]
        if not marked:
            raise Unsupported(
                f"its shape {wanted} fixes the batch; export the model with a free batch dimension"
            )
    if len(marked) > 1:
        raise Unsupported(BATCH_HINT)
    sizes, to = batch_axis.reshape_target(shape, place, wanted, batch, marked[0] if marked else None)
    return _shaped(m, sizes, to)


def _shaped(m: Moved, sizes: Sequence[int], place: Place) -> Act:
    inner = m.inner(place)
    return m.made(reshape(inner.b, inner.site, Act(m.x.tensor), sizes), place)


def _flatten(m: Moved) -> Act:
    axis = int(m.call.attrs.get("axis", 1))
    axis += m.rank if axis < 0 else 0
    sizes = [math.prod(m.shape[:axis]), math.prod(m.shape[axis:])]
    place = batch_axis.reshaped(m.shape, m.place, sizes, 0 if m.place.axis < axis else 1)
    assert place is not None
    return _shaped(m, sizes, place)


def _squeeze(m: Moved) -> Act:
    axes = m.constants(1, "axes", 13)
    if axes is None:
        dropped = [i for i, d in enumerate(m.shape) if d == 1 and i != m.place.axis]
    else:
        dropped = [a % m.rank for a in axes]
    if any(m.shape[i] != 1 for i in dropped):
        raise Unsupported(f"only dimensions of size 1 can be squeezed, got {m.shape}", "axes")
    place = batch_axis.kept(m.place, dropped, True)
    return _shaped(m, [d for i, d in enumerate(m.shape) if i not in dropped], place)


def _unsqueeze(m: Moved) -> Act:
    axes = m.constants(1, "axes", 13) or []
    rank = m.rank + len(axes)
    added = {a % rank for a in axes}
    old = [i for i in range(rank) if i not in added]
    sizes = [1] * rank
    for i, size in zip(old, m.shape, strict=True):
        sizes[i] = size
    return _shaped(m, sizes, replace(m.place, axis=old[m.place.axis]))


def _transpose(m: Moved) -> Act:
    order = list(m.call.attrs.get("perm", reversed(range(m.rank))))
    place = batch_axis.permuted(m.place, order)
    inner = m.inner(place)
    return m.made(batch_axis.transpose_sample(inner.b, inner.site, m.x, order), place)


def _concat(m: Moved) -> Act:
    values = [v for v in m.operands() if not isinstance(v, Const) or v.array.size]
    axis = m.axis(0)
    place = batch_axis.joined([m.shape_of(v) for v in values], places_of(values), axis)
    inner = m.inner(place)
    plain: list[Value] = [Act(v.tensor) if isinstance(v, Act) else v for v in values]
    return m.made(tensors.join(inner.b, inner.site, plain, axis + 1), place)


def _split(m: Moved) -> list[Any]:
    axis, place = m.axis(0), m.place
    if axis != place.axis:
        m.constants(1, "split", 13)
        return m.apply(place)
    found, count = m.numbers(1, "split", 13), len(m.call.outputs)
    if place.after != 1 or (found is None and place.before % count):
        raise Unsupported(BATCH_HINT)
    if found is None:
        counts = [place.before // count] * count
    else:
        counts = [m.batches(int(n), int(s)) for n, s in zip(*found, strict=True)]
    parts, start = [], 0
    for i, (length, name) in enumerate(zip(counts, m.call.outputs, strict=True)):
        to = replace(place, before=length)
        tensor = f"{name}.sample" if batch_axis.is_plain(to) else name
        site = Site(f"{m.call.site.name}.{i}", tensor)
        part = tensors.slice_axis(m.call.b, site, Act(m.x.tensor), axis + 1, start, length)
        parts.append(m.made(part, to, i))
        start += length
    return parts


def _slice(m: Moved) -> Act:
    starts, ends = m.numbers(1, "starts", 10), m.numbers(2, "ends", 10)
    if starts is None or ends is None:
        raise Unsupported(BATCH_HINT)
    axes = m.constants(3, "axes", 10) or list(range(len(starts[0])))
    steps = m.constants(4, "steps", 10) or [1] * len(axes)
    x, place, cuts = Act(m.x.tensor), m.place, []
    for i, (axis, step) in enumerate(zip((a % m.rank for a in axes), steps, strict=True)):
        (start, start_slope), (end, end_slope) = ((int(v[0][i]), int(v[1][i])) for v in (starts, ends))
        size = m.shape[axis]
        if axis == place.axis:
            start = m.batches(start, start_slope) if start else 0
            end = size if end >= THE_END else m.batches(end, end_slope)
            if (start, end, step) != (0, size, 1) and (place.after != 1 or step != 1):
                raise Unsupported(BATCH_HINT, "axes")
        elif start_slope or end_slope:
            raise Unsupported("a number it needs depends on the batch size")
        chosen = range(*slice(start, end if step > 0 or end >= -size else None, step).indices(size))
        if axis == place.axis and len(chosen) < size:
            place = replace(place, before=len(chosen))
        cuts.append((axis + 1, chosen.start, len(chosen), step if len(chosen) > 1 else 1))
    inner = m.inner(place)
    for i, cut in enumerate(cuts):
        x = tensors.slice_axis(inner.b, inner.site if i == len(cuts) - 1 else inner.at(f"axis{i}"), x, *cut)
    return m.made(x, place)


def _expand(m: Moved) -> Act:
    found, place = m.numbers(1, "", 0), m.place
    if found is None:
        raise Unsupported(BATCH_HINT)
    target, slopes = [int(v) for v in found[0]], found[1]
    rank = max(len(target), m.rank)
    own = [1] * (rank - m.rank) + m.shape
    target = [1] * (rank - len(target)) + target
    place = replace(place, axis=place.axis + rank - m.rank)
    moving = np.flatnonzero(slopes) + rank - len(slopes)
    size = target[place.axis]
    if any(i != place.axis for i in moving) or size not in (1, place.size, place.size * (m.batch or 1)):
        raise Unsupported(BATCH_HINT)
    target[place.axis] = place.size
    inner = m.inner(place)
    x = reshape(inner.b, inner.at("level"), Act(m.x.tensor), own)
    return m.made(tensors.expand(inner.b, inner.site, x, target), place)


def _shape(m: Moved) -> Value | Sizes:
    sizes = np.array(m.shape, np.int64)
    slopes = np.where(np.arange(m.rank) == m.place.axis, sizes, 0)
    part = slice(m.call.attrs.get("start", 0), m.call.attrs.get("end"))
    return settled((sizes - slopes)[part], {THE_BATCH: slopes[part]})


def _size(m: Moved) -> Value | Sizes:
    count = np.array(math.prod(m.shape), np.int64)
    return settled(count * 0, {THE_BATCH: count})


#: Operators that move the batch, or tell where it is.
MOVES: dict[str, Callable[[Moved], Any]] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Split": _split,
    "Slice": _slice,
    "Expand": _expand,
    "Shape": _shape,
    "Size": _size,
}
