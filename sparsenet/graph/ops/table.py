"""The op table, joined from its families, and how a node reads by it."""

from __future__ import annotations

from typing import Any

from sparsenet.graph.node import Node
from sparsenet.graph.ops import choice, images, pointwise, products, reductions, shapes, windows
from sparsenet.graph.ops.activations import ACTIVATIONS
from sparsenet.graph.ops.epilogues import epilogue_tensors
from sparsenet.graph.ops.schema import OpSchema
from sparsenet.tables import Table

#: Op → its schema.
OPS: Table[OpSchema] = Table.joined(
    windows.OPS, products.OPS, pointwise.OPS, reductions.OPS, images.OPS, shapes.OPS, choice.OPS
)


def attributes(node: Node) -> dict[str, Any]:
    """The node's attributes with the schema's defaults filled in."""
    return {**OPS[node.op].defaults, **node.attrs}


def as_step(node: Node) -> list[Any]:
    """An activation's node as a fused op of an epilogue: its name and its numbers."""
    return [node.op, *(node.attrs[name] for name in ACTIVATIONS[node.op].parameters)]


def split_inputs(node: Node) -> tuple[list[str], list[str]]:
    """The node's own inputs (optional ones padded with ``""``), and the tensors its epilogue reads."""
    taken = len(epilogue_tensors(node.epilogue))
    own = node.inputs[: len(node.inputs) - taken] if taken else list(node.inputs)
    schema = OPS[node.op]
    if not schema.variadic:
        own = own + [""] * (len(schema.inputs) - len(own))
    return own, node.inputs[len(node.inputs) - taken :] if taken else []


def value_inputs(node: Node) -> list[str]:
    """The node's own inputs as in ``split_inputs``, without those of which only the size counts."""
    own, sizes_only = split_inputs(node)[0], OPS[node.op].sizes_only
    if not sizes_only:
        return own
    return [name for role, name in zip(OPS[node.op].roles, own, strict=True) if role not in sizes_only]
