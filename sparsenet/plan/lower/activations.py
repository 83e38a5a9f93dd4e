"""Activations on their own, per-channel affine and batch normalisation: a copy with an epilogue; and softmax."""

from __future__ import annotations

from math import prod

import numpy as np

from sparsenet.graph import FloatArray, Node
from sparsenet.kernels.jit import max_lanes
from sparsenet.kernels.registry import EPILOGUE_ARGUMENTS, Kernel
from sparsenet.ops import ACTIVATIONS, attributes, split_inputs
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import Rows
from sparsenet.plan.lower.epilogues import flat_arguments, parameters, rows_arguments, words


def is_map(builder: Builder, tensor: str) -> bool:
    """Whether ``tensor`` is an image of more than one pixel: it then lives as rows."""
    shape = builder.shape(tensor)
    return len(shape) == 3 and shape[1] * shape[2] > 1


def copy(builder: Builder, node: Node, own_words: tuple[str, ...], own: dict[str, int | Ref]) -> None:
    """``out = epilogue(own_words(x))``; ``own`` are the arguments of ``own_words``, numbered from 0."""
    x = node.inputs[0]
    shifted = len(own_words)
    all_words = own_words + words(node)
    if is_map(builder, x):
        source = builder.rows(x)
        extra = _renumber(rows_arguments(builder, node), shifted)
        place = builder.new_rows(node.output)
        inside, layout = source.layout, place.layout
        assert isinstance(inside, Rows)
        assert isinstance(layout, Rows)
        kernel = Kernel("f32_copy_none_rows", layout.lanes, (min(4, layout.line_vectors),), all_words)
        builder.emit(
            kernel, x=source.first, x_row=inside.row_bytes, x_channel=inside.channel_bytes, channels=layout.channels,
            **builder.lines(layout), out=place.first, out_row=layout.row_bytes,
            out_channel=layout.channel_bytes, **own, **extra,
        )  # fmt: skip
    else:
        source = builder.plain(x)
        extra = _renumber(flat_arguments(builder, node), shifted)
        place = builder.new_plain(node.output)
        kernel = Kernel("f32_copy_none_flat", max_lanes(), (), all_words)
        builder.emit(kernel, x=source.first, size=prod(builder.shape(x)), out=place.first, **own, **extra)
    builder.decide(node, "none", kernel, "the only kernel for this op")


def _renumber(arguments: dict[str, int | Ref], by: int) -> dict[str, int | Ref]:
    out = {}
    for name, value in arguments.items():
        word, step = name.rsplit(".", 1)
        out[f"{word}.{int(step) + by}"] = value
    return out


def lower_activation(builder: Builder, node: Node) -> None:
    """One activation word as the epilogue of a copy."""
    names = ACTIVATIONS[node.op]
    values = [attributes(node)[name] for name in names]
    copy(builder, node, (node.op,), parameters(EPILOGUE_ARGUMENTS[node.op], values, 0))


def lower_affine(builder: Builder, node: Node) -> None:
    """Scale and shift per channel as the epilogue of a copy."""
    own, _ = split_inputs(node)
    scale, shift = (builder.graph.constants[name] for name in own[1:])
    _affine(builder, node, scale, shift)


def lower_batch_norm(builder: Builder, node: Node) -> None:
    """Batch normalisation as the affine it is at inference, made in float64."""
    gamma, beta, mean, var = (builder.graph.constants[name].astype(np.float64) for name in node.inputs[1:])
    scale = gamma / np.sqrt(var + attributes(node)["eps"])
    _affine(builder, node, scale.astype(np.float32), (beta - mean * scale).astype(np.float32))


def _affine(builder: Builder, node: Node, scale: FloatArray, shift: FloatArray) -> None:
    own: dict[str, int | Ref] = {
        "scale.0": builder.padded_constant(scale),
        "shift.0": builder.padded_constant(shift),
    }
    copy(builder, node, ("affine",), own)


def lower_softmax(builder: Builder, node: Node) -> None:
    """Softmax in C order."""
    source, place = builder.plain(node.inputs[0]), builder.new_plain(node.output)
    shape, axis = builder.shape(node.inputs[0]), attributes(node)["axis"] - 1
    kernel = Kernel("f32_softmax_none_flat", max_lanes())
    builder.decide(node, "none", kernel, "the only kernel for this op")
    builder.emit(
        kernel, x=source.first, outer=prod(shape[:axis]), axis=shape[axis], inner=prod(shape[axis + 1 :]),
        out=place.first,
    )  # fmt: skip


LOWER = {
    **dict.fromkeys(ACTIVATIONS, lower_activation),
    "affine": lower_affine,
    "batch_norm": lower_batch_norm,
    "softmax": lower_softmax,
}
