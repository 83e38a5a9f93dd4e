"""Ops on tensors of any rank, in C order: broadcasting arithmetic, choices, reductions, products, picking."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from sparsenet.graph import Node
from sparsenet.graph.ops import attributes, split_inputs
from sparsenet.plan.builder import Builder
from sparsenet.plan.lowering.axes import merge_axes
from sparsenet.plan.stage import Word
from sparsenet.targets.cpu.lower.plain_call import plain_call, stored_shape, strides_over, table
from sparsenet.targets.cpu.lower.transposes import pick_evenly
from sparsenet.targets.registry import BROADCAST_OPERATIONS, REDUCE_OPERATIONS


def lower_broadcast(builder: Builder, node: Node, result: str | None = None) -> None:
    """Two operands of any shapes that broadcast; ``result``: where an epilogue follows, the tensor before it."""
    a, b = split_inputs(node)[0]
    target = builder.image_shape(node.output)
    operands = [strides_over(stored_shape(builder, name), target) for name in (a, b)]
    shape, (x_strides, y_strides) = merge_axes(target, *operands)
    kernel = builder.kernel("broadcast_none_flat", (BROADCAST_OPERATIONS.index(node.op),))
    arguments: dict[str, Word] = {
        "rank": len(shape), "shape": table(builder, shape),
        "x_strides": table(builder, x_strides), "y_strides": table(builder, y_strides),
    }  # fmt: skip
    plain_call(builder, node, kernel, {"x": a, "y": b}, arguments, result)


def lower_where(builder: Builder, node: Node) -> None:
    """Three operands of any shapes that broadcast."""
    target = builder.image_shape(node.output)
    operands = [strides_over(stored_shape(builder, name), target) for name in node.inputs]
    shape, strides = merge_axes(target, *operands)
    names = ("condition", "x", "y")
    arguments: dict[str, Word] = {"rank": len(shape), "shape": table(builder, shape)}
    for name, steps in zip(names, strides, strict=True):
        arguments[f"{name}_strides"] = table(builder, steps)
    sources = dict(zip(names, node.inputs, strict=True))
    plain_call(builder, node, builder.kernel("where_none_flat"), sources, arguments)


def lower_reduce(builder: Builder, node: Node) -> None:
    """The axes that stay first, then those that go."""
    attrs, shape = attributes(node), builder.image_shape(node.inputs[0])
    gone = [axis - 1 for axis in attrs["axes"]]
    strides = strides_over(shape, shape)
    parts = [
        merge_axes([shape[axis] for axis in axes], [strides[axis] for axis in axes])
        for axes in ([a for a in range(len(shape)) if a not in gone], sorted(gone))
    ]
    (kept_shape, (kept_strides,)), (gone_shape, (gone_strides,)) = parts
    kind = "sum" if attrs["kind"] == "mean" else attrs["kind"]
    kernel = builder.kernel("reduce_none_flat", (REDUCE_OPERATIONS.index(kind),))
    arguments: dict[str, Word] = {
        "shape": table(builder, [*kept_shape, *gone_shape]),
        "strides": table(builder, [*kept_strides, *gone_strides]),
        "kept": len(kept_shape), "gone": len(gone_shape),
        "scale": 1 / prod(gone_shape) if attrs["kind"] == "mean" else 1.0,
    }  # fmt: skip
    plain_call(builder, node, kernel, {"x": node.inputs[0]}, arguments)


def along_axis(shape: Sequence[int], axis: int) -> dict[str, Word]:
    """A tensor viewed as (outer, axis, inner)."""
    return {"outer": prod(shape[:axis]), "axis": shape[axis], "inner": prod(shape[axis + 1 :])}


def lower_argmax(builder: Builder, node: Node) -> None:
    """One number per line."""
    attrs = attributes(node)
    arguments = along_axis(builder.image_shape(node.inputs[0]), attrs["axis"] - 1)
    arguments["last"] = int(attrs["last"])
    plain_call(builder, node, builder.kernel("argmax_none_flat"), {"x": node.inputs[0]}, arguments)


def lower_softmax(builder: Builder, node: Node) -> None:
    """Softmax in C order."""
    arguments = along_axis(builder.image_shape(node.inputs[0]), attributes(node)["axis"] - 1)
    plain_call(builder, node, builder.kernel("softmax_none_flat"), {"x": node.inputs[0]}, arguments)


def lower_normalize(builder: Builder, node: Node) -> None:
    """Runs that follow each other."""
    attrs, shape = attributes(node), builder.image_shape(node.inputs[0])
    axis = attrs["axis"] - 1
    arguments: dict[str, Word] = {
        "runs": prod(shape[:axis]),
        "size": prod(shape[axis:]),
        "eps": attrs["eps"],
    }
    plain_call(builder, node, builder.kernel("normalize_none_flat"), {"x": node.inputs[0]}, arguments)


def lower_matmul(builder: Builder, node: Node) -> None:
    """One product per index of the axes in front."""
    a, b = node.inputs
    shapes = stored_shape(builder, a), stored_shape(builder, b)
    *front, rows, columns = builder.image_shape(node.output)
    starts = []
    for shape in shapes:
        places = np.zeros(front, np.int64)
        for axis, step in enumerate(strides_over(shape[:-2], front)):
            places += np.arange(front[axis]).reshape(-1, *[1] * (len(front) - axis - 1)) * step
        starts.append(table(builder, (places * shape[-2] * shape[-1]).reshape(-1).tolist()))
    arguments: dict[str, Word] = {
        "x_starts": starts[0], "y_starts": starts[1], "products": prod(front), "rows": rows,
        "depth": shapes[0][-1], "columns": columns,
    }  # fmt: skip
    plain_call(builder, node, builder.kernel("matmul_none_flat"), {"x": a, "y": b}, arguments)


def take(builder: Builder, node: Node, offsets: Sequence[Sequence[int]]) -> None:
    """``offsets``: per axis of the output, what each index adds to the place in the source, in floats."""
    used = [axis for axis in offsets if len(axis) > 1 or axis[0]] or [[0]]
    last = used[-1]
    runs = list(last) == list(range(last[0], last[0] + len(last)))
    filler = [0] * (-len(last) % builder.vector.lanes)
    arguments: dict[str, Word] = {
        "rank": len(used), "shape": table(builder, [len(axis) for axis in used]),
        "tables": table(builder, [*(offset for axis in used for offset in axis), *filler]),
    }  # fmt: skip
    plain_call(
        builder,
        node,
        builder.kernel("take_none_flat", (int(runs),)),
        {"x": node.inputs[0]},
        arguments,
    )


def _offsets(shape: Sequence[int]) -> list[list[int]]:
    """The tables that copy a tensor as it is."""
    return [[i * prod(shape[axis + 1 :]) for i in range(size)] for axis, size in enumerate(shape)]


def slice_plain(builder: Builder, node: Node) -> None:
    """Evenly spaced elements of an axis."""
    attrs = attributes(node)
    _pick_along(builder, node, attrs["axis"] - 1, attrs["start"], attrs["step"])


def _pick_along(builder: Builder, node: Node, axis: int, start: int, step: int) -> None:
    shape = builder.image_shape(node.inputs[0])
    steps = [prod(shape[i + 1 :]) for i in range(len(shape))]
    first = start * steps[axis]
    steps[axis] *= step
    pick_evenly(builder, node, steps, first)


def lower_gather(builder: Builder, node: Node) -> None:
    """Chosen elements of one axis (counted without the batch); evenly spaced ones as a slice."""
    attrs = attributes(node)
    axis, shape = attrs["axis"] - 1, builder.image_shape(node.inputs[0])
    indices = [range(shape[axis])[i] for i in attrs["indices"]]
    first, step = indices[0], indices[1] - indices[0] if len(indices) > 1 else 1
    if indices == [first + i * step for i in range(len(indices))]:
        _pick_along(builder, node, axis, first, step)
        return
    offsets = _offsets(shape)
    offsets[axis] = [offsets[axis][i] for i in indices]
    take(builder, node, offsets)


def lower_expand(builder: Builder, node: Node) -> None:
    """The one element of an axis again and again."""
    shape, target = builder.image_shape(node.inputs[0]), builder.image_shape(node.output)
    steps = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    repeated = [
        step if have == wanted else 0 for step, have, wanted in zip(steps, shape, target, strict=True)
    ]
    pick_evenly(builder, node, repeated)


LOWER = {
    **dict.fromkeys(BROADCAST_OPERATIONS[3:], lower_broadcast),
    "where": lower_where,
    "reduce": lower_reduce,
    "argmax": lower_argmax,
    "softmax": lower_softmax,
    "normalize": lower_normalize,
    "matmul": lower_matmul,
    "gather": lower_gather,
    "expand": lower_expand,
}
