"""Add, subtract and multiply: fast for equal shapes and per-channel gains, general for any broadcasting."""

from __future__ import annotations

from math import prod

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Node
from sparsenet.kernels.jit import max_lanes
from sparsenet.kernels.registry import Kernel
from sparsenet.ops import split_inputs
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import Rows
from sparsenet.plan.lower.activations import copy, is_map
from sparsenet.plan.lower.epilogues import flat_arguments, rows_arguments, words


def lower_add(builder: Builder, node: Node) -> None:
    """A copy with a residual where shapes are equal, else general."""
    a, b = split_inputs(node)[0]
    if not _activations(builder, a, b) or builder.shape(a) != builder.shape(b):
        _broadcast(builder, node, 0)
        return
    if is_map(builder, a):
        other = builder.rows(b)
        assert isinstance(other.layout, Rows)
        row, channel = other.layout.row_bytes, other.layout.channel_bytes
    else:
        other, row, channel = builder.plain(b), 0, 4
    own: dict[str, int | Ref] = {
        "residual.0": other.first,
        "residual_row.0": row,
        "residual_channel.0": channel,
    }
    copy(builder, node, ("add",), own)


def lower_mul(builder: Builder, node: Node) -> None:
    """Two maps, a map and a gain per channel, two flat tensors, or general."""
    a, b = split_inputs(node)[0]
    if not _activations(builder, a, b):
        _broadcast(builder, node, 2)
        return
    if not is_map(builder, a) and is_map(builder, b):
        a, b = b, a
    shape_a, shape_b = builder.shape(a), builder.shape(b)
    if shape_a == shape_b and not is_map(builder, a):
        _multiply_flat(builder, node, a, b)
    elif is_map(builder, a) and shape_b in (shape_a, (shape_a[0], 1, 1)):
        _multiply_rows(builder, node, a, b)
    else:
        _broadcast(builder, node, 2)


def lower_sub(builder: Builder, node: Node) -> None:
    """Always the general kernel: networks hardly subtract."""
    _broadcast(builder, node, 1)


def _activations(builder: Builder, a: str, b: str) -> bool:
    return a not in builder.graph.constants and b not in builder.graph.constants


def _multiply_flat(builder: Builder, node: Node, a: str, b: str) -> None:
    x, y = builder.plain(a), builder.plain(b)
    extra = flat_arguments(builder, node)
    place = builder.new_plain(node.output)
    kernel = Kernel("f32_mul_none_flat", max_lanes(), (), words(node))
    builder.decide(node, "none", kernel, "both operands flat and of one shape")
    builder.emit(kernel, x=x.first, y=y.first, size=prod(builder.shape(a)), out=place.first, **extra)


def _multiply_rows(builder: Builder, node: Node, a: str, b: str) -> None:
    x = builder.rows(a)
    same = builder.shape(a) == builder.shape(b)
    y = builder.rows(b) if same else builder.plain(b)
    extra = rows_arguments(builder, node)
    place = builder.new_rows(node.output)
    inside, layout = x.layout, place.layout
    assert isinstance(inside, Rows)
    assert isinstance(layout, Rows)
    common: dict[str, int | Ref] = {
        "x": x.first, "x_row": inside.row_bytes, "x_channel": inside.channel_bytes, "channels": layout.channels,
        **builder.lines(layout), "out": place.first, "out_row": layout.row_bytes,
        "out_channel": layout.channel_bytes, **extra,
    }  # fmt: skip
    tile = (min(4, layout.line_vectors),)
    if isinstance(y.layout, Rows):
        kernel = Kernel("f32_mul_none_rows", layout.lanes, tile, words(node))
        builder.emit(kernel, y=y.first, y_row=y.layout.row_bytes, y_channel=y.layout.channel_bytes, **common)
    else:
        kernel = Kernel("f32_scale_none_rows", layout.lanes, tile, words(node))
        builder.emit(kernel, gain=y.first, **common)
    builder.decide(node, "none", kernel, "two maps" if same else "one number per channel")


def _broadcast(builder: Builder, node: Node, operation: int) -> None:
    a, b = split_inputs(node)[0]
    shape = builder.shape(node.output)
    x, y = builder.plain(a), builder.plain(b)
    result = node.output if not node.epilogue else f"{node.output}//before epilogue"
    builder.shapes[result] = builder.shapes[node.output]
    place = builder.new_plain(result)
    kernel = Kernel("f32_broadcast_none_flat", max_lanes())
    tables = [_strides(_image_shape(builder, name), shape) for name in (a, b)]
    builder.emit(
        kernel, x=x.first, y=y.first, rank=len(shape), shape=builder.constant(np.asarray(shape, np.int32)),
        x_strides=builder.constant(tables[0]), y_strides=builder.constant(tables[1]), operation=operation,
        out=place.first,
    )  # fmt: skip
    if node.epilogue:
        tail = Node(
            "identity", node.name, [result, *split_inputs(node)[1]], node.outputs, {"epilogue": node.epilogue}
        )
        copy(builder, tail, (), {})
    else:
        builder.decide(node, "none", kernel, "general broadcasting, or a constant operand")


def _image_shape(builder: Builder, tensor: str) -> tuple[int, ...]:
    """Shape without the batch axis; a constant of full rank must have batch 1."""
    if tensor in builder.graph.constants:
        return builder.graph.constants[tensor].shape
    return builder.shape(tensor)


def _strides(shape: tuple[int, ...], target: tuple[int, ...]) -> npt.NDArray[np.int32]:
    """Strides in floats of ``shape`` over the axes of ``target``, 0 where it is repeated."""
    if len(shape) > len(target):
        shape = shape[len(shape) - len(target) :]
    strides = [0] * len(target)
    step = 1
    for axis in range(1, len(shape) + 1):
        strides[-axis] = 0 if shape[-axis] == 1 else step
        step *= shape[-axis]
    return np.asarray(strides, np.int32)


LOWER = {"add": lower_add, "sub": lower_sub, "mul": lower_mul}
