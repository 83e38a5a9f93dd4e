"""Inference for a node's result from its inputs: its shape, and which part of it is valid."""

from __future__ import annotations

from collections.abc import Mapping

from sparsenet.errors import GraphError
from sparsenet.graph.node import Node, Partial
from sparsenet.graph.ops.epilogues import epilogue_tensors
from sparsenet.graph.ops.parts import Operand
from sparsenet.graph.ops.sizes import Shapes
from sparsenet.graph.ops.table import OPS, attributes, split_inputs
from sparsenet.graph.types import FloatArray, Shape


def infer_shape(node: Node, shapes: Shapes, constants: Mapping[str, FloatArray]) -> Shape:
    """Output shape of ``node`` for the given input shapes, epilogue tensors checked too.

    Raises:
        GraphError: naming the node and what does not fit.
    """
    own, extra = split_inputs(node)
    own_shapes: Shapes = list(shapes[: len(shapes) - len(extra)])
    own_shapes += [None] * (len(own) - len(own_shapes))
    try:
        out = OPS[node.op].infer(own_shapes, attributes(node))
        if None in out[1:]:
            raise ValueError(f"the batch would become another dimension: {out}")
        if node.epilogue:
            _check_epilogue(node, out, shapes[len(shapes) - len(extra) :])
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        described = ", ".join(
            f"{n}{tuple(s)}" for n, s in zip(node.inputs, shapes, strict=True) if s is not None
        )
        raise GraphError(f"node '{node.name}' ({node.op}) over {described}: {error}") from None
    return out


def _check_epilogue(node: Node, out: Shape, shapes: Shapes) -> None:
    """Raise ValueError unless the tensors that the epilogue reads have the shapes that it needs."""
    for (op, tensor), got in zip(epilogue_tensors(node.epilogue), shapes, strict=True):
        if tensor.per_channel and len(out) < 2:
            raise ValueError(f"epilogue '{op}' needs channels, which a result of shape {out} has not")
        expected = (out[1],) if tensor.per_channel else out
        if got != expected:
            raise ValueError(f"epilogue '{op}' needs shape {expected}, got {got}")


def partial_of(node: Node, shapes: Mapping[str, Shape], known: Mapping[str, Partial]) -> Partial | None:
    """Which part of ``node``'s output is valid, None for all of it; ``known`` tells of its inputs.

    Raises:
        GraphError: the node cannot work on such inputs; the message names it.
    """
    schema = OPS[node.op]
    if not schema.makes_part and not any(name in known for name in node.inputs):
        return None
    own, extra = split_inputs(node)
    operands = [Operand(name, shapes[name], known.get(name)) for name in own if name in shapes]
    try:
        if schema.partial is None:
            raise ValueError("it needs all of its input")
        part = schema.partial(operands, attributes(node), shapes[node.output])
        for other in (known[name] for name in extra if name in known):
            if part != other:
                raise ValueError("what it adds is another part")
            if part.count != other.count:
                raise ValueError("its inputs are parts of different sizes")
    except ValueError as error:
        reason = f"how many elements its input has depends on the data: {error}"
        raise GraphError(f"node '{node.name}' ({node.op}): {reason}") from None
    return part
