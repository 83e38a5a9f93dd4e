"""Element by element: activations, affine, arithmetic with any broadcasting."""

from __future__ import annotations

from sparsenet.graph import FloatArray, Node
from sparsenet.graph.batch_norm import as_affine
from sparsenet.graph.ops import ACTIVATIONS, attributes, split_inputs
from sparsenet.targets.cuda.builder import Argument, Builder, Epilogue, NoKernelError, Value
from sparsenet.targets.cuda.lower.axes import axis_strides, four_strides, in_a_row
from sparsenet.targets.cuda.lower.epilogues import add_affine, add_residual, epilogue_of
from sparsenet.targets.cuda.lower.rearrange import spread
from sparsenet.targets.registry import BROADCAST_OPERATIONS, Kernel

_ONLY = "the only kernel for this op"


def _copy(builder: Builder, node: Node, x: Value, start: Epilogue, out: Value) -> None:
    epilogue = epilogue_of(builder, node, out, start)
    kernel = Kernel("f32_copy_none_maps", 4, (), tuple(epilogue.words))
    builder.decide(node, "none", kernel, _ONLY)
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels, epilogue,
        x=x, channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


def lower_activation(builder: Builder, node: Node) -> None:
    """One activation word as the epilogue of a copy."""
    numbers = [attributes(node)[name] for name in ACTIVATIONS[node.op].parameters]
    x = builder.get(node.inputs[0])
    _copy(builder, node, x, Epilogue([node.op], [], numbers), builder.new(node.output))


def lower_affine(builder: Builder, node: Node) -> None:
    """Scale and shift per channel."""
    own, _ = split_inputs(node)
    scale, shift = (builder.graph.constants[name] for name in own[1:])
    _affine(builder, node, scale, shift)


def lower_batch_norm(builder: Builder, node: Node) -> None:
    """Batch normalisation as the affine it is at inference."""
    statistics = [builder.graph.constants[name] for name in node.inputs[1:]]
    _affine(builder, node, *as_affine(statistics, attributes(node)["eps"]))


def _affine(builder: Builder, node: Node, scale: FloatArray, shift: FloatArray) -> None:
    start = Epilogue()
    add_affine(builder, start, scale, shift)
    _copy(builder, node, builder.get(node.inputs[0]), start, builder.new(node.output))


def lower_add(builder: Builder, node: Node) -> None:
    """A copy with a residual where both lie alike, else general."""
    a, b = (builder.get(name) for name in split_inputs(node)[0])
    if a.layout is None or a.layout != b.layout or a.shape != b.shape:
        lower_broadcast(builder, node)
        return
    out, start = builder.new(node.output), Epilogue()
    add_residual(start, b, out)
    _copy(builder, node, a, start, out)


def lower_broadcast(builder: Builder, node: Node) -> None:
    """Two operands along strides that are 0 where an axis is repeated."""
    a, b = (builder.get(name) for name in split_inputs(node)[0])
    out = builder.new(node.output)
    epilogue = epilogue_of(builder, node, out)
    kernel = Kernel(
        "f32_broadcast_none_maps", 1, (BROADCAST_OPERATIONS.index(node.op),), tuple(epilogue.words)
    )
    builder.decide(node, "none", kernel, _ONLY)
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels, epilogue,
        **_operand(builder, "x", a, out), **_operand(builder, "y", b, out),
        channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


def lower_where(builder: Builder, node: Node) -> None:
    """Three operands along strides, as ``lower_broadcast``."""
    condition, a, b = (builder.get(name) for name in node.inputs)
    out, kernel = builder.new(node.output), Kernel("f32_where_none_maps", 1)
    builder.decide(node, "none", kernel, _ONLY)
    builder.over_pixels(
        kernel, out.maps.pitch, out.maps.channels,
        **_operand(builder, "condition", condition, out), **_operand(builder, "x", a, out),
        **_operand(builder, "y", b, out),
        channels=out.maps.channels, **out.maps.geometry(), out=out, pitch=out.maps.pitch,
    )  # fmt: skip


def _operand(builder: Builder, name: str, value: Value, out: Value) -> dict[str, Argument]:
    strides = _strides(value, out.shape)
    if not in_a_row(out.shape, strides):
        value = spread(builder, value, out.shape)
        strides = _strides(value, out.shape)
    image, channel, row, column = four_strides(out.shape, strides)
    return {
        name: value,
        f"{name}_image": image,
        f"{name}_channel": channel,
        f"{name}_row": row,
        f"{name}_column": column,
    }


def _strides(value: Value, shape: tuple[int, ...]) -> list[int]:
    """Of an operand broadcast to ``shape``, axis by axis."""
    missing = len(shape) - len(value.shape)
    if missing and value.layout is not None:
        raise NoKernelError(f"operands of {len(value.shape)} and {len(shape)} axes")
    sizes = (1,) * missing + value.shape
    strides = [0] * missing + axis_strides(value)
    return [s if size == to else 0 for s, size, to in zip(strides, sizes, shape, strict=True)]


LOWER = {
    **dict.fromkeys(ACTIVATIONS, lower_activation),
    "affine": lower_affine,
    "batch_norm": lower_batch_norm,
    **dict.fromkeys(BROADCAST_OPERATIONS, lower_broadcast),
    "add": lower_add,
    "where": lower_where,
}
