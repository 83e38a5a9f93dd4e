"""Whether a graph is small enough to make a plan of it, by the sizes of its tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sparsenet.errors import MemoryLimitError
from sparsenet.graph.graph import Graph
from sparsenet.graph.ops import attributes
from sparsenet.graph.types import Shape
from sparsenet.limits import MAX_LINES, require_memory


def require_plannable(graph: Graph, shapes: Mapping[str, Shape]) -> None:
    """Raise MemoryLimitError unless every tensor, with its padding, and the number of lines are within the limits.

    ``shapes`` are those of all its tensors. What a plan takes as a whole is known, and checked, once it is made; this
    keeps making it within bounds.
    """
    lines = 0
    for name, shape in shapes.items():
        require_memory(4 * math.prod(int(d or 1) for d in shape), f"tensor '{name}' of shape {shape}")
    for node in graph.nodes:
        shape = shapes[node.inputs[0]]
        padding = attributes(node).get("padding")
        if len(shape) == 4 and isinstance(padding, list):
            channels, height, width = (int(d or 1) for d in shape[1:])
            height, width = height + padding[0] + padding[2], width + padding[1] + padding[3]
            require_memory(4 * channels * height * width, f"the padded input of node '{node.name}'")
            lines += height
        out = shapes[node.output]
        lines += int(out[2] or 1) if len(out) == 4 else 0
    if lines > MAX_LINES:
        raise MemoryLimitError(f"the maps of the graph have {lines} lines, the limit is {MAX_LINES}")
