"""Arithmetic, comparison and choice of tensors of any shapes that broadcast."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.ops import split_inputs
from sparsenet.plan.lowering.axes import broadcast_strides, contiguous_strides, merge_axes
from sparsenet.plan.lowering.epilogue import fused_steps
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.kernels.strided import MOST_AXES, OPERATIONS
from sparsenet.targets.c99.lower.epilogues import as_arguments
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value


def fits_rows(graph: Graph, shapes: dict[str, Shape], node: Node) -> bool:
    """Whether ``node`` is computed row by row: a map of two, of which each has all rows or is the same for all."""
    out = shapes[node.output]
    return (
        len(out) == 4
        and len(split_inputs(node)[0]) == 2
        and all(_by_rows(shapes[name], out, name in graph.constants) for name in split_inputs(node)[0])
    )


def _by_rows(shape: Shape, out: Shape, constant: bool) -> bool:
    """Constants have no rows of their own here: one that has is broadcast in C order."""
    sizes = (1,) * (4 - len(shape)) + tuple(d or 1 for d in shape)
    return sizes[2] == 1 if constant else len(shape) == 4 and sizes[2] in (1, out[2])


def lower(builder: Builder, node: Node) -> None:
    """Row by row where that is possible, else in C order; fused ops are done to a copy."""
    own = split_inputs(node)[0]
    by_rows = fits_rows(builder.graph, builder.shapes, node)
    if node.epilogue:
        out = Value(node.output, builder.map_shape(node.output), flat=not by_rows)
    else:
        out = builder.new(node.output) if by_rows else builder.new_flat(node.output)
    tile = () if node.op == "where" else (list(OPERATIONS).index(node.op),)
    kernel = _rows(builder, out, tile, own) if by_rows else _flat(builder, node, out, tile, own)
    if node.epilogue:
        epilogue = as_arguments(builder, fused_steps(builder.graph, node), out.shape[0])
        result = builder.new_flat(node.output) if out.flat else builder.new(node.output)
        builder.copy(result, out, epilogue.ops, epilogue.reads, **epilogue.arguments)
    builder.choose(node, "none", kernel)


def _rows(builder: Builder, out: Value, tile: tuple[int, ...], own: Sequence[str]) -> Kernel:
    kernel = Kernel("f32_combine_none_rows", tile)
    reads: list[Read] = []
    known: dict[str, Word] = {"channels": out.shape[0], "width": out.width, "out_channel": out.channel}
    for letter, name in zip("pq", own, strict=True):
        shape = builder.shape(name)
        channels, height, width = ((1,) * (4 - len(shape)) + shape)[1:]
        value = builder.any(name)
        reads.append(Read(value, whole=height == 1 and out.height > 1))
        apart = width if name in builder.graph.constants else value.channel
        known |= {f"{letter}_channel": 0 if channels == 1 else apart, f"{letter}_pixel": int(width > 1)}
    builder.add(out, kernel, reads, known)
    return kernel


def _flat(builder: Builder, node: Node, out: Value, tile: tuple[int, ...], own: Sequence[str]) -> Kernel:
    target, strides = builder.shape(node.output), []
    for tensor in own:
        shape = builder.shape(tensor)
        strides.append(broadcast_strides(shape, contiguous_strides(shape), target))
    sizes, steps = merge_axes(target, *strides)
    if len(sizes) > MOST_AXES:
        raise NoKernelError(f"it broadcasts over {len(sizes)} axes, the most are {MOST_AXES}")
    family, letters = ("where", "cpq") if node.op == "where" else ("broadcast", "pq")
    kernel = Kernel(f"f32_{family}_none_flat", tile)
    known: dict[str, Word] = {"sizes": builder.table(sizes), "axes": len(sizes)}
    known |= {f"{letter}_strides": builder.table(step) for letter, step in zip(letters, steps, strict=True)}
    builder.add(out, kernel, [Read(builder.flat(t), whole=True) for t in own], known, units=1, by_rows=False)
    return kernel


LOWER = dict.fromkeys((*OPERATIONS, "where"), lower)
