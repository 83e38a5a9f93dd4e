"""Facts about a graph: shapes, producer and readers of each tensor. Each is found once, when first asked for.

A ``Facts`` is of one state of a graph. Whoever asks more than one question of a graph keeps its facts instead of asking
the graph anew, and forgets them when the graph changes.
"""

from __future__ import annotations

from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING

from sparsenet.errors import GraphError
from sparsenet.graph.constants import shape_of
from sparsenet.graph.follows import followed
from sparsenet.graph.node import Node, Partial, TensorInfo
from sparsenet.graph.ops import MAX_RANK, infer_shape, partial_of
from sparsenet.graph.types import Shape

if TYPE_CHECKING:
    from sparsenet.graph import Graph


class Facts:
    """Facts about ``graph`` as it is now; GraphError, naming the node, where one cannot be had."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def infer(self) -> Facts:
        """Find shapes and parts now, so that an error comes now."""
        _ = self.shapes, self.partial
        return self

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor, inferred from inputs and constants."""
        return infer_shapes(self._graph)

    @cached_property
    def partial(self) -> dict[str, Partial]:
        """The tensors that have an axis with a number of elements that depends on the data."""
        found: dict[str, Partial] = {}
        for node in self._graph.nodes:
            result = partial_of(node, self.shapes, found)
            if result is not None:
                found[node.output] = result
        return found

    @cached_property
    def output_infos(self) -> list[TensorInfo]:
        """Name and shape of every graph output."""
        return [
            TensorInfo(name, self.shapes[name], partial=self.partial.get(name))
            for name in self._graph.outputs
        ]

    @cached_property
    def count_infos(self) -> list[TensorInfo]:
        """The tensors that hold the valid lengths of partial outputs, but for those that are outputs themselves."""
        counts = dict.fromkeys(info.partial.count for info in self.output_infos if info.partial is not None)
        outputs = set(self._graph.outputs)
        return [TensorInfo(name, self.shapes[name]) for name in counts if name not in outputs]

    @cached_property
    def makers(self) -> dict[str, Node]:
        """The node that makes each tensor that is neither input nor constant."""
        return {name: node for node in self._graph.nodes for name in node.outputs}

    @cached_property
    def use_counts(self) -> Counter[str]:
        """How often each tensor is read, a graph output counting as one more reader."""
        counts: Counter[str] = Counter(self._graph.outputs)
        for node in self._graph.nodes:
            counts.update(name for name in node.inputs if name)
        return counts


def infer_shapes(graph: Graph, follow: bool = False) -> dict[str, Shape]:
    """Shape of every tensor of ``graph``, inferred from inputs and constants.

    Args:
        graph: with nodes in execution order.
        follow: first set the numbers of each node that follow from sizes (see ``Node.follows``).

    Raises:
        GraphError: a node's inputs do not fit its op; the message names the node.
    """
    shapes: dict[str, Shape] = {t.name: t.shape for t in graph.inputs}
    for name, shape in shapes.items():
        _check_rank(shape, f"input '{name}'")
    for name in graph.constants:
        shapes[name] = shape = shape_of(graph.constants, name)
        _check_rank(shape, f"constant '{name}'")
    for node in graph.nodes:
        missing = [name for name in node.inputs if name and name not in shapes]
        if missing:
            raise GraphError(
                f"node '{node.name}' ({node.op}) reads '{missing[0]}', which nothing before it makes"
            )
        if follow and node.follows:
            node.attrs = followed(node, shapes)
        shapes[node.output] = infer_shape(
            node, [shapes[n] if n else None for n in node.inputs], graph.constants
        )
        _check_rank(shapes[node.output], f"the result of node '{node.name}' ({node.op})")
    return shapes


def _check_rank(shape: Shape, what: str) -> None:
    if len(shape) > MAX_RANK:
        raise GraphError(f"{what} has {len(shape)} dimensions, the limit is {MAX_RANK}")
