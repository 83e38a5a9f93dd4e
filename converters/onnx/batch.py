"""ONNX nodes on tensors that do not have the batch in front, as samples (see ``batch_axis``).

The rules of all operators can take a whole ONNX tensor as one sample. Here is decided where an operator leaves the
batch, or that it mixes images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from converters import batch_axis
from converters.batch_axis import Place, Sample
from converters.builder import Const, Unsupported
from converters.decompose.einsum import parsed
from converters.decompose.shapes import BATCH_HINT
from converters.onnx.moved import Moved, places_of
from converters.onnx.moves import MOVES
from converters.onnx.ops import arithmetic, resize, windows


def across(m: Moved) -> list[Any]:
    """Results of a node on samples.

    Raises:
        Unsupported: it mixes images of the batch, or has no counterpart.
    """
    if m.op == "MaxUnpool" or (m.op == "MaxPool" and any(m.call.outputs[1:])):
        raise Unsupported("its places count across the batch (dimension 0); convert with batch='fixed'")
    decide = _PLACES.get(m.op)
    if decide is not None:
        return m.apply(decide(m))
    if m.op in MOVES:
        made = MOVES[m.op](m)
        return made if isinstance(made, list) else [made]
    raise Unsupported(BATCH_HINT)


def _broadcast(m: Moved) -> Place:
    values = m.operands()
    return batch_axis.broadcast([m.shape_of(v) for v in values], places_of(values))


def _product(m: Moved) -> Place:
    values = m.operands()
    return batch_axis.product([m.shape_of(v) for v in values], places_of(values))


def _rows(m: Moved) -> Place:
    """Rule of Gemm of the batch's rows with constants."""
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
    """Rule of operators on (N, C, ...): the batch may be merged with a number, but must be in front."""
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


def _normalized(m: Moved) -> Place:
    """Rule of batch normalization of other channels than the batch, or with a computed parameter for each of those."""
    x, *parameters = m.operands()
    if not any(isinstance(v, Sample) for v in parameters):
        return batch_axis.kept(m.place, [1])
    shapes = [m.shape, *([*m.shape_of(v), *[1] * (m.rank - 2)] for v in parameters)]
    return batch_axis.broadcast(shapes, places_of([x, *parameters]))


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


def _rounded(m: Moved) -> Place:
    """Where it was, if no scale of its own belongs to a sample."""
    scale = m.call.inputs[1]
    sizes = scale.array.shape if isinstance(scale, Const) else ()
    along = (
        [m.axis(1)] if len(sizes) == 1 and sizes[0] > 1 else [i for i, size in enumerate(sizes) if size > 1]
    )
    return batch_axis.kept(m.place, along)


def _triangle(m: Moved) -> Place:
    return batch_axis.kept(m.place, [m.rank - 2, m.rank - 1])


#: Operator → the function that says where it leaves the batch; its own rule makes the result.
_PLACES: dict[str, Callable[[Moved], Place]] = {
    **dict.fromkeys(arithmetic.RULES, _broadcast),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _rounded),
    **dict.fromkeys((*windows.RULES, *resize.RULES), _images),
    "BatchNormalization": _normalized,
    **dict.fromkeys(("InstanceNormalization", "GroupNormalization", "LRN"), _images),
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
