"""Epilogue arguments: what a node's fused words read, as the kernel wants it."""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.graph import Node
from sparsenet.kernels.abi import encode_float
from sparsenet.ops import EPILOGUE_TENSORS, split_inputs
from sparsenet.plan.builder import Builder, Ref
from sparsenet.plan.layout import Rows


def words(node: Node) -> tuple[str, ...]:
    """The epilogue words of ``node`` in order."""
    return tuple(step[0] for step in node.epilogue)


def rows_arguments(builder: Builder, node: Node) -> dict[str, int | Ref]:
    """Tape arguments of the epilogue of a kernel over rows."""
    return _arguments(builder, node, True)


def flat_arguments(builder: Builder, node: Node) -> dict[str, int | Ref]:
    """Tape arguments of the epilogue of a kernel over a flat tensor."""
    return _arguments(builder, node, False)


def parameters(names: Sequence[str], values: Sequence[float], step: int) -> dict[str, int | Ref]:
    """Numbers of an activation word as tape arguments."""
    return {f"{name}.{step}": encode_float(value) for name, value in zip(names, values, strict=True)}


def _arguments(builder: Builder, node: Node, over_rows: bool) -> dict[str, int | Ref]:
    from sparsenet.kernels.registry import EPILOGUE_ARGUMENTS

    tensors = iter(split_inputs(node)[1])
    arguments: dict[str, int | Ref] = {}
    for step, (word, *values) in enumerate(node.epilogue):
        if word == "affine":
            scale, shift = next(tensors), next(tensors)
            arguments[f"scale.{step}"] = builder.padded_constant(builder.graph.constants[scale])
            arguments[f"shift.{step}"] = builder.padded_constant(builder.graph.constants[shift])
        elif word == "add":
            arguments |= _residual(builder, next(tensors), step, over_rows)
        else:
            arguments |= parameters(EPILOGUE_ARGUMENTS[word], values, step)
    assert sum(EPILOGUE_TENSORS.get(word, 0) for word in words(node)) == len(split_inputs(node)[1])
    return arguments


def _residual(builder: Builder, tensor: str, step: int, over_rows: bool) -> dict[str, int | Ref]:
    if over_rows:
        place = builder.rows(tensor)
        assert isinstance(place.layout, Rows)
        row, channel = place.layout.row_bytes, place.layout.channel_bytes
    else:
        place, row, channel = builder.plain(tensor), 0, 4
    return {f"residual.{step}": place.first, f"residual_row.{step}": row, f"residual_channel.{step}": channel}
