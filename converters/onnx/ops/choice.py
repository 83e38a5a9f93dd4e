"""ONNX operations that choose by value, under their ONNX names: what detectors do with their boxes and scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from converters.builder import Act, Const, Site, Unsupported, Value
from converters.decompose import choice, tensors
from converters.decompose.elementwise import LARGEST, choose, scalar, truncate
from converters.decompose.scatter import scatter, scatter_reduced
from converters.decompose.shapes import BATCH_HINT, axis_of, reshape
from converters.onnx.call import Call, Rule
from converters.symbolic.sizes import Sizes
from sparsenet.graph.ops import LARGEST_EXPANSION


def top_k(c: Call) -> list[Value]:
    """Values and indices; k is an attribute before opset 10, an input from then on."""
    k = c.get(1)
    if isinstance(k, Sizes):
        count = k.entries()[0]
    else:
        counts = c.numbers(1, "k", 10, "k")
        count = counts if isinstance(counts, int) else (counts or [0])[0]
    values, indices = [*c.outputs, ""][:2]
    return choice.top_k(
        c.b,
        Site(c.site.name, values or f"{c.site.name}.values"),
        Site(f"{c.site.name}.indices", indices or f"{c.site.name}.indices"),
        c.x,
        c.axis(c.attrs.get("axis", -1)),
        count,
        bool(c.attrs.get("largest", 1)),
    )


def _operand(c: Call, index: int, part: str) -> Act:
    """An input as a tensor; a constant gets the batch, of which its own dimension 0 can only be one entry."""
    value: Value = c.operand(index)
    if isinstance(value, Const) and not c.lead:
        if not value.array.ndim or value.array.shape[0] != 1:
            raise Unsupported("the constant has a batch dimension of its own")
        value = Const(value.array[0], value.name)
    rank = value.array.ndim + 1 if isinstance(value, Const) else 0
    return choice.computed(c.b, c.at(part), value, rank)


def gather(c: Call) -> Act:
    """Elements of one axis, at indices that are constant or computed."""
    indices, axis = c.operand(1), c.attrs.get("axis", 0)
    if isinstance(indices, Const):
        return tensors.gather(c.b, c.site, c.x, c.axis(axis), indices.array)
    data = c.operand(0)
    rank = len(c.shape_of(data))
    front = axis + rank if axis < 0 else axis
    if not 0 <= front < rank:
        raise Unsupported(f"axis {axis} does not exist in a tensor of {rank} dimensions", "axis")
    if not c.lead and (isinstance(data, Act) or front):
        raise Unsupported(BATCH_HINT)
    x = choice.computed(c.b, c.at("table"), data, rank + 1)
    return choice.gather(c.b, c.site, x, indices, front + 1)


def gather_elements(c: Call) -> Act:
    """Elements of one axis, each at its own index."""
    x, indices = _operand(c, 0, "table"), _operand(c, 1, "indices")
    axis, rank = c.attrs.get("axis", 0), len(c.b.shapes[x.tensor]) - c.lead
    front = axis_of((axis + rank if axis < 0 else axis) + c.lead, rank + c.lead)
    if len(c.b.shapes[indices.tensor]) != rank + c.lead:
        raise Unsupported("its indices must have as many dimensions as its data")
    return choice.gather_elements(c.b, c.site, x, indices, front)


def gather_nd(c: Call) -> Act:
    """Elements at places that an axis of the indices names."""
    shared = c.attrs.get("batch_dims", 0) - (0 if c.lead else 1)
    if shared < 0:
        raise Unsupported(BATCH_HINT, "batch_dims")
    return choice.gather_nd(c.b, c.site, _operand(c, 0, "table"), _operand(c, 1, "indices"), shared)


#: Value of ``reduction`` → the op that joins what is there with what comes.
_REDUCTIONS = {"add": "add", "mul": "mul", "max": "maximum", "min": "minimum"}


def _scatter(c: Call, places: np.ndarray, sizes: Sequence[int]) -> Act:
    if not c.lead:
        raise Unsupported(BATCH_HINT)
    kind = c.attrs.get("reduction", "none")
    if kind == "none":
        return scatter(c.b, c.site, c.operand(0), c.operand(2), places.reshape(-1), sizes)
    if kind not in _REDUCTIONS:
        raise Unsupported(f"reduction '{kind}' is not known", "reduction")
    op = _REDUCTIONS[kind]
    return scatter_reduced(c.b, c.site, c.operand(0), c.operand(2), places.reshape(-1), sizes, op)


def _places(indices: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """Flat places in a tensor of these sizes; negative indices count from the back."""
    if any(((i < -size) | (i >= size)).any() for i, size in zip(indices, sizes, strict=True)):
        raise Unsupported(f"its indices leave a tensor of shape {tuple(sizes)}")
    wrapped = [np.where(i < 0, i + size, i) for i, size in zip(indices, sizes, strict=True)]
    return np.asarray(np.ravel_multi_index(wrapped, tuple(sizes)))


def _constant_indices(c: Call) -> np.ndarray:
    indices = c.const(1, "indices")
    assert indices is not None
    return indices.array.astype(np.int64)


def scatter_nd(c: Call) -> Act:
    """Runs written over constant places, as exporters write an assignment to a part of a tensor."""
    indices, sizes = _constant_indices(c), [int(d or 0) for d in c.shape_of(c.operand(0))]
    depth = indices.shape[-1]
    first = _places([indices[..., i] for i in range(depth)], sizes[:depth])
    inner = math.prod(sizes[depth:])
    c.b.require_memory([2, first.size, inner], "the places it writes to")
    return _scatter(c, first[..., None] * inner + np.arange(inner), sizes)


def scatter_elements(c: Call) -> Act:
    """Numbers written over constant places of one axis."""
    indices, sizes = _constant_indices(c), [int(d or 0) for d in c.shape_of(c.operand(0))]
    places: list[np.ndarray] = list(np.indices(indices.shape))
    places[c.attrs.get("axis", 0)] = indices
    return _scatter(c, _places(places, sizes), sizes)


def one_hot(c: Call) -> Act:
    """One number at an index along a new axis, which has ``depth`` elements, another elsewhere."""
    depth, values = c.const(1, "depth"), c.const(2, "values")
    assert depth is not None
    assert values is not None
    count, rank = int(depth.array.item()), len(c.shape) + c.lead
    axis = c.attrs.get("axis", -1)
    front = axis_of(axis + c.lead if axis >= 0 else axis + rank + 1, rank + 1)
    if not 1 <= count <= LARGEST_EXPANSION:
        raise Unsupported(f"a depth of {count} is not supported")
    sizes = c.sizes
    x = c.x if c.integer else truncate(c.b, c.at("whole"), c.x, c.lead)
    below = c.binary("less", x, scalar(0.0), "below")
    index = c.binary("add", x, c.binary("mul", below, scalar(count), "turn"), "index")
    index = reshape(c.b, c.at("ranked"), index, [*sizes[: front - 1], 1, *sizes[front - 1 :]])
    places = Const(np.arange(count, dtype=np.float32).reshape(-1, *[1] * (rank - front)))
    hit = c.binary("equal", index, places, "hit")
    off, on = (scalar(float(v)) for v in values.array.ravel())
    return choose(c.b, c.site, hit, on, off, c.lead)


def nms(c: Call) -> Act:
    """Boxes that overlap no better one of their class, over all images: so dimension 0 is one like any other."""
    if not c.lead:
        raise Unsupported(BATCH_HINT)
    limits = [c.const(i, "limits") for i in (2, 3, 4)]
    count, iou, least = (None if v is None else v.array.item() for v in limits)
    if not count or count < 0:
        raise Unsupported("it keeps no boxes: max_output_boxes_per_class is 0")
    return choice.nms(
        c.b, c.site, _operand(c, 0, "boxes"), _operand(c, 1, "scores"), min(int(count), LARGEST_EXPANSION),
        float(iou or 0.0), -LARGEST if least is None else float(least),
        bool(c.attrs.get("center_point_box", 0)),
    )  # fmt: skip


def nonzero(c: Call) -> Act:
    """Places where an input is not zero, over all of it: so dimension 0 is one like any other."""
    if not c.lead:
        raise Unsupported(BATCH_HINT)
    return choice.nonzero(c.b, c.site, c.x)


RULES: dict[str, Rule] = {
    "TopK": top_k,
    "Gather": gather,
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "ScatterND": scatter_nd,
    "ScatterElements": scatter_elements,
    "OneHot": one_hot,
    "NonMaxSuppression": nms,
    "NonZero": nonzero,
}
