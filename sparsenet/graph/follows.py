"""Numbers of a node that follow from sizes of tensors: how a graph with open dimensions fits itself to other sizes.

A reshape's target, where a slice ends, how much an image is padded: attributes hold what is right for the graph's own
size, and ``Node.follows`` says of those that would be others how to find them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparsenet.errors import GraphError
from sparsenet.graph.node import Node
from sparsenet.graph.types import Shape


def followed(node: Node, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """The node's attributes as they follow from the shapes of tensors made before it.

    Raises:
        GraphError: there is no such number, tensor or dimension; the message names the node.
    """
    try:
        return _followed(node, shapes)
    except ValueError as error:
        raise GraphError(f"node '{node.name}' ({node.op}): {error}") from None


def _followed(node: Node, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    attrs = dict(node.attrs)
    for name, places in node.follows.items():
        value = attrs.get(name)
        numbers = list(value) if isinstance(value, list) else [value]
        for place, source in places.items():
            shape = shapes.get(source.tensor, ())
            if not 0 < source.axis < len(shape) or shape[0] is not None or not 0 <= place < len(numbers):
                raise ValueError(
                    f"its {name} follows from dimension {source.axis} of '{source.tensor}', which is none"
                )
            if not isinstance(numbers[place], int) or source.over < 1 or source.modulo < 0:
                raise ValueError(f"its {name} cannot follow from a size")
            numbers[place] = source.of(int(shape[source.axis] or 0))
        attrs[name] = numbers if isinstance(value, list) else numbers[0]
    return attrs
