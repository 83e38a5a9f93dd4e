"""Functions that a model defines for itself, written out where they are called."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from converters.onnx import isolated
from sparsenet.errors import UnsupportedOpError

if TYPE_CHECKING:
    import onnx

#: Nodes a model may have: twenty functions that call each other twice make a million of them.
MAX_NODES = 2**16
#: Depth of functions that call functions.
MAX_DEPTH = 100

Key = tuple[str, str, str]


def inline_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without functions of its own.

    Raises:
        UnsupportedOpError: it would have more than ``MAX_NODES`` nodes, a function calls itself, or onnx fails at it.
    """
    count = _count(model)
    if count > MAX_NODES:
        raise UnsupportedOpError(
            f"the model has {count} nodes, its functions inlined; the limit is {MAX_NODES}"
        )
    if not model.functions:
        return model
    inlined = isolated.inline_functions(model)
    if inlined is None:
        raise UnsupportedOpError("the functions that the model defines cannot be written out")
    return inlined


def _count(model: onnx.ModelProto) -> int:
    bodies = {(f.domain, f.name, f.overload): f.node for f in model.functions}
    known: dict[Key, int] = {}

    def of_function(key: Key, callers: tuple[Key, ...]) -> int:
        if key in callers or len(callers) > MAX_DEPTH:
            raise UnsupportedOpError(f"function '{key[1]}' of the model calls itself, or is nested too deep")
        if key not in known:
            known[key] = total(bodies[key], (*callers, key))
        return known[key]

    def total(nodes: object, callers: tuple[Key, ...]) -> int:
        count = 0
        for node in _nested(nodes):
            key = (node.domain, node.op_type, node.overload)
            count += 1 + (of_function(key, callers) if key in bodies else 0)
        return count

    return total(model.graph.node, ())


def _nested(nodes: object) -> Iterator[onnx.NodeProto]:
    """All nodes, those of their subgraphs included."""
    for node in nodes:  # type: ignore[attr-defined]
        yield node
        for attribute in node.attribute:
            for graph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _nested(graph.node)
