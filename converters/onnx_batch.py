"""ONNX nodes on tensors that do not have the batch in front, as samples (see ``batch_axis``).

The rules of all operators can take a whole ONNX tensor as one sample. Here is decided where an operator leaves the
batch, or that it mixes images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from converters import batch_axis, lowering, onnx_math, onnx_resize, onnx_windows
from converters import lower_tensors as tensors
from converters.batch_axis import Place, Sample
from converters.builder import Act, Const, Site, Unsupported, Value
from converters.lower_einsum import parsed
from converters.lowering import BATCH_HINT
from converters.onnx_call import Call, Rule
from converters.sizes import THE_BATCH, Sizes, settled


@dataclass(frozen=True)
class Moved:
    """A node on samples: what the rules see of it, its inputs as the model has them, the batch it was exported with."""

    op: str
    rule: Rule
    call: Call
    given: Sequence[Value | Sizes | None]
    batch: int | None

    @property
    def x(self) -> Sample:
        """The first sample among the inputs."""
        return next(v for v in self.given if isinstance(v, Sample))

    @property
    def place(self) -> Place:
        """Where ``x`` has the batch."""
        place = self.x.place
        assert place is not None
        return place

    @property
    def shape(self) -> list[int]:
        """Of ``x`` in the model, with the batch counted as one."""
        return self.shape_of(self.x)

    @property
    def rank(self) -> int:
        """Dimensions of ``x`` in the model."""
        return len(self.shape)

    def shape_of(self, value: Value) -> list[int]:
        """Shape of an operand in the model, with the batch counted as one."""
        return [int(d or 0) for d in self.call.shape_of(value)]

    def axis(self, default: int) -> int:
        """The attribute "axis", counted from the front."""
        return int(self.call.attrs.get("axis", default)) % self.rank

    def operands(self) -> list[Value]:
        """Inputs that are there; a size that depends on the batch cannot be among them."""
        if any(isinstance(v, Sizes) for v in self.given):
            raise Unsupported("a number it needs depends on the batch size")
        return [v for v in self.given if isinstance(v, Act | Const)]

    def numbers(self, index: int, attribute: str, before: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Integers of an attribute or input: those for one image, and how many times the batch they are."""
        value: Any = self.call.attrs.get(attribute) if self.call.opset < before else self.call.get(index)
        given = self.given[index] if index < len(self.given) else None
        if isinstance(given, Sizes) and self.call.opset >= before:
            slope = given.slopes[THE_BATCH].ravel()
            return given.base.ravel() + slope, slope
        if value is None:
            return None
        if isinstance(value, Act | Sizes):
            raise Unsupported("its parameters are computed from the input's values")
        flat = np.asarray(value.array if isinstance(value, Const) else value).ravel().astype(np.int64)
        return flat, np.zeros_like(flat)

    def constants(self, index: int, attribute: str, before: int) -> list[int] | None:
        """As ``numbers``, of which none may depend on the batch."""
        found = self.numbers(index, attribute, before)
        if found is not None and found[1].any():
            raise Unsupported("a number it needs depends on the batch size")
        return None if found is None else [int(v) for v in found[0]]

    def batches(self, number: int, slope: int) -> int:
        """How many batches a number along the batch's axis is; Unsupported if it is not a whole number of them."""
        if slope == number:
            return number
        if slope or not self.batch or number % self.batch:
            raise Unsupported(BATCH_HINT)
        return number // self.batch

    def inner(self, place: Place | None) -> Call:
        """The call whose results ``made`` takes."""
        if not batch_axis.is_plain(place):
            return self.call
        outputs = [f"{name}.sample" if name else "" for name in self.call.outputs]
        return replace(self.call, site=self.call.site.sub("sample"), outputs=outputs)

    def made(self, x: Act, place: Place | None, index: int = 0) -> Act:
        """A result: as the graph has it, if the batch is in front."""
        sample = Sample(x.tensor, place)
        site = Site(self.call.site.name, self.call.outputs[index])
        return batch_axis.plain(self.call.b, site, sample) if batch_axis.is_plain(place) else sample

    def apply(self, place: Place | None) -> list[Any]:
        """The operator's own rule."""
        made = self.rule(self.inner(place))
        values: Sequence[Any] = list(made) if isinstance(made, Sequence) else [made]
        return [self.made(v, place, i) if isinstance(v, Act) else v for i, v in enumerate(values)]


def across(m: Moved) -> list[Any]:
    """What a node on samples gives.

    Raises:
        Unsupported: it mixes images of the batch, or has no counterpart.
    """
    if m.op == "MaxUnpool" or (m.op == "MaxPool" and any(m.call.outputs[1:])):
        raise Unsupported("its places count across the batch (dimension 0); convert with batch='fixed'")
    decide = _PLACES.get(m.op)
    if decide is not None:
        return m.apply(decide(m))
    if m.op in _MOVES:
        made = _MOVES[m.op](m)
        return made if isinstance(made, list) else [made]
    raise Unsupported(BATCH_HINT)


def _places(values: Sequence[Value]) -> list[Place | None]:
    return [value.place if isinstance(value, Sample) else None for value in values]


def _broadcast(m: Moved) -> Place:
    values = m.operands()
    return batch_axis.broadcast([m.shape_of(v) for v in values], _places(values))


def _product(m: Moved) -> Place:
    values = m.operands()
    return batch_axis.product([m.shape_of(v) for v in values], _places(values))


def _rows(m: Moved) -> Place:
    """Gemm of the batch's rows with constants."""
    values = m.operands()
    samples = [v for v in values if isinstance(v, Sample)]
    if values[0] is not m.x or m.place.axis != 0 or m.call.attrs.get("transA", 0):
        raise Unsupported(BATCH_HINT)
    if any(v.place != m.place for v in samples) or isinstance(values[1], Sample):
        raise Unsupported(BATCH_HINT)
    return m.place


def _last_axis(m: Moved) -> Place:
    m.operands()
    return batch_axis.kept(m.place, [m.axis(-1)])


def _from_axis_on(m: Moved) -> Place:
    m.operands()
    return batch_axis.kept(m.place, range(m.axis(-1), m.rank))


def _softmax(m: Moved) -> Place:
    axis = m.axis(-1 if m.call.opset >= 13 else 1)
    return batch_axis.kept(m.place, [axis] if m.call.opset >= 13 else range(axis, m.rank))


def _sum_along(m: Moved) -> Place:
    number = m.constants(1, "axis", 0) or [0]
    return batch_axis.kept(m.place, [number[0] % m.rank])


def _reduced(since: int) -> Callable[[Moved], Place]:
    def decide(m: Moved) -> Place:
        axes = m.constants(1, "axes", since)
        if not axes and m.call.attrs.get("noop_with_empty_axes", 0):
            return m.place
        dropped = not m.call.attrs.get("keepdims", 1)
        return batch_axis.kept(m.place, sorted({a % m.rank for a in axes or range(m.rank)}), dropped)

    return decide


def _best(m: Moved) -> Place:
    return batch_axis.kept(m.place, [m.axis(0)], not m.call.attrs.get("keepdims", 1))


def _images(m: Moved) -> Place:
    """Operators on (N, C, ...): the batch may be folded with a number, but must be in front."""
    counts_all = m.op == "MaxPool" and any(
        m.call.outputs[1:]
    )  # its second output numbers what all images hold
    if m.place.axis or counts_all or sum(isinstance(v, Sample) for v in m.operands()) > 1:
        raise Unsupported(BATCH_HINT)
    if m.place.size > batch_axis.MOST_IMAGES:
        raise Unsupported(
            f"it takes one image at a time, of {m.place.size} for each of the batch; "
            f"{batch_axis.MOST_IMAGES} at most"
        )
    return m.place


def _einsum(m: Moved) -> Place:
    values = m.operands()
    inputs, output = parsed(m.call.attrs["equation"], [len(m.shape_of(v)) for v in values])
    found = {
        (letters[v.place.axis], v.place.before, v.place.after)
        for v, letters in zip(values, inputs, strict=True)
        if isinstance(v, Sample) and v.place
    }
    letter, before, after = next(iter(found))
    shared = any(letter in p for v, p in zip(values, inputs, strict=True) if not isinstance(v, Sample))
    if len(found) != 1 or letter not in output or shared:
        raise Unsupported(BATCH_HINT)
    return Place(output.index(letter), before, after)


def _gathered(m: Moved) -> Place:
    data, indices = m.operands()[:2]
    axis = int(m.call.attrs.get("axis", 0)) % max(1, len(m.shape_of(data)))
    if isinstance(data, Const) and axis == 0:
        return m.place
    if not isinstance(indices, Const):
        raise Unsupported(BATCH_HINT)
    place = batch_axis.kept(m.place, [axis])
    return replace(place, axis=place.axis + (indices.array.ndim - 1 if axis < place.axis else 0))


def _tiled(m: Moved) -> Place:
    repeats = m.constants(1, "repeats", 0) or []
    if len(repeats) != m.rank or repeats[m.place.axis] != 1:
        raise Unsupported(BATCH_HINT)
    return m.place


def _padded(m: Moved) -> Place:
    pads = m.constants(1, "pads", 11) or []
    axes = m.constants(3, "axes", 0) or list(range(m.rank))
    touched = [a % m.rank for i, a in enumerate(axes) if pads[i] or pads[i + len(axes)]]
    return batch_axis.kept(m.place, touched)


def _triangle(m: Moved) -> Place:
    return batch_axis.kept(m.place, [m.rank - 2, m.rank - 1])


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
    return m.made(lowering.reshape(inner.b, inner.site, Act(m.x.tensor), sizes), place)


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
    return m.made(batch_axis.transpose(inner.b, inner.site, m.x, order), place)


def _concat(m: Moved) -> Act:
    values = [v for v in m.operands() if not isinstance(v, Const) or v.array.size]
    axis = m.axis(0)
    place = batch_axis.joined([m.shape_of(v) for v in values], _places(values), axis)
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
            end = size if end >= 2**31 - 1 else m.batches(end, end_slope)
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
    x = lowering.reshape(inner.b, inner.at("level"), Act(m.x.tensor), own)
    return m.made(tensors.expand(inner.b, inner.site, x, target), place)


def _shape(m: Moved) -> Value | Sizes:
    sizes = np.array(m.shape, np.int64)
    slopes = np.where(np.arange(m.rank) == m.place.axis, sizes, 0)
    part = slice(m.call.attrs.get("start", 0), m.call.attrs.get("end"))
    return settled((sizes - slopes)[part], {THE_BATCH: slopes[part]})


def _size(m: Moved) -> Value | Sizes:
    count = np.array(math.prod(m.shape), np.int64)
    return settled(count * 0, {THE_BATCH: count})


#: Where an operator leaves the batch, whose own rule makes the result.
_PLACES: dict[str, Callable[[Moved], Place]] = {
    **dict.fromkeys(onnx_math.RULES, _broadcast),
    **dict.fromkeys((*onnx_windows.RULES, *onnx_resize.RULES), _images),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization", "GroupNormalization", "LRN"), _images),
    **dict.fromkeys(("DepthToSpace", "SpaceToDepth"), _images),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _from_axis_on),
    **dict.fromkeys(("ArgMax", "ArgMin"), _best),
    **dict.fromkeys(
        ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2"), _reduced(18)
    ),
    **dict.fromkeys(("ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"), _reduced(18)),
    "ReduceSum": _reduced(13),
    **dict.fromkeys(("TopK", "LpNormalization"), _last_axis),
    "CumSum": _sum_along,
    "MatMul": _product,
    "Gemm": _rows,
    "Einsum": _einsum,
    "Gather": _gathered,
    "Tile": _tiled,
    "Pad": _padded,
    "Trilu": _triangle,
}

#: Operators that move the batch, or tell where it is.
_MOVES: dict[str, Callable[[Moved], Any]] = {
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
