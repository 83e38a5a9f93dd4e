"""The Graph: what a network computes, independent of layout and machine.

A graph is a list of nodes in execution order. Values are named tensors; a name is either a graph input, a constant
(a float32 array, dense in memory: sparsity is simply its zeros) or the output of one node. Shapes are static but for
the batch, which is dimension 0 of every activation and written ``None``.

    graph = Graph(
        name="tiny",
        inputs=[TensorInfo("input", (None, 3, 8, 8))],
        outputs=["y"],
        nodes=[Node("conv2d", "conv", ["input", "conv.weight"], ["y"], {"padding": [1, 1, 1, 1]})],
        constants={"conv.weight": np.zeros((4, 3, 3, 3), np.float32)},
    )
    graph.verify()
    graph.shapes()["y"]          # (None, 4, 8, 8)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from sparsenet.errors import GraphError
from sparsenet.graph.constants import arrays
from sparsenet.graph.facts import Facts, infer_shapes
from sparsenet.graph.follows import followed
from sparsenet.graph.node import Node, Partial, TensorInfo
from sparsenet.graph.ops import OPS, check_constants, check_node
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import I8, FloatArray, Shape
from sparsenet.limits import require_countable

__all__ = ["Facts", "FloatArray", "Graph", "Node", "Partial", "Quantization", "Shape", "TensorInfo"]


@dataclass
class Graph:
    """A whole network: inputs, nodes in execution order, constants, output names, free-form string metadata.

    ``quantization`` holds the grids of tensors that may be rounded to integers, by name; what a node computes does not
    depend on it, only how exactly.
    """

    name: str
    inputs: list[TensorInfo]
    outputs: list[str]
    nodes: list[Node]
    constants: MutableMapping[str, FloatArray] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    quantization: dict[str, Quantization] = field(default_factory=dict)

    def facts(self) -> Facts:
        """All facts below at once, for callers that need more than one; true until the graph changes."""
        return Facts(self)

    def shapes(self) -> dict[str, Shape]:
        """Shape of every tensor, inferred from inputs and constants.

        Raises:
            GraphError: a node's inputs do not fit its op; the message names the node.
        """
        return self.facts().shapes

    def partial(self) -> dict[str, Partial]:
        """The tensors that have an axis with a number of elements that depends on the data.

        Raises:
            GraphError: a node cannot work on such a tensor; the message names the node.
        """
        return self.facts().partial

    def output_infos(self) -> list[TensorInfo]:
        """Name and shape of every graph output."""
        return self.facts().output_infos

    def count_infos(self) -> list[TensorInfo]:
        """The tensors that hold the valid lengths of partial outputs, but for those that are outputs themselves."""
        return self.facts().count_infos

    def producer(self, tensor: str) -> Node | None:
        """The node that makes ``tensor``; ``None`` for inputs and constants."""
        return next((node for node in self.nodes if tensor in node.outputs), None)

    def consumers(self, tensor: str) -> list[Node]:
        """The nodes that read ``tensor``, each once."""
        return [node for node in self.nodes if tensor in node.inputs]

    def use_counts(self) -> Counter[str]:
        """How often each tensor is read, a graph output counting as one more reader."""
        return self.facts().use_counts

    def at_shapes(self, shapes: Mapping[str, Shape]) -> Graph:
        """The same network for other input shapes; whether it fits them in all else, ``verify`` tells.

        Raises:
            GraphError: a size differs by no multiple of the input's step, or a node has no meaning at these sizes.
        """
        graph = self.copy()
        graph.inputs = [replace(info, shape=shapes.get(info.name, info.shape)) for info in self.inputs]
        for info, other in zip(self.inputs, graph.inputs, strict=True):
            for axis in info.open:
                own, size = int(info.shape[axis] or 0), int(other.shape[axis] or 0)
                if (size - own) % info.step:
                    raise GraphError(
                        f"dimension {axis} of input '{info.name}' may be {own} more or less a multiple of {info.step}, "
                        f"got {size}"
                    )
        if any(node.follows for node in self.nodes):
            infer_shapes(graph, follow=True)
        return graph

    def drop_unused_constants(self) -> None:
        """Forget constants that no node and no output reads, and the grids of tensors that are no more."""
        used = self.use_counts()
        self.quantization = {name: grid for name, grid in self.quantization.items() if used[name]}
        self.constants = copy(self.constants)
        for name in [name for name in self.constants if not used[name]]:
            del self.constants[name]

    def weights(self) -> Iterator[tuple[Node, str, FloatArray]]:
        """``(node, constant name, array)`` for the weight of every conv2d, linear or other weighted node."""
        for node, name in self.weight_names():
            yield node, name, self.constants[name]

    def weight_names(self) -> Iterator[tuple[Node, str]]:
        """``(node, constant name)`` as in ``weights``, without decoding the arrays."""
        for node in self.nodes:
            if OPS[node.op].weighted and node.inputs[1] in self.constants:
                yield node, node.inputs[1]

    def copy(self) -> Graph:
        """A graph whose nodes may be changed freely; the constant arrays themselves are shared."""
        return Graph(
            self.name,
            list(self.inputs),
            list(self.outputs),
            [
                Node(n.op, n.name, list(n.inputs), list(n.outputs), dict(n.attrs), dict(n.follows))
                for n in self.nodes
            ],
            copy(self.constants),
            dict(self.metadata),
            dict(self.quantization),
        )

    def verify(self) -> Facts:
        """Check every rule a graph must obey, and return what was found out on the way.

        Raises:
            GraphError: with the node or tensor that breaks a rule, and how.
            MemoryLimitError: it has more parts than any graph may have (see ``limits``).
        """
        require_countable(
            nodes=len(self.nodes),
            operands=sum(len(node.inputs) for node in self.nodes),
            constants=len(self.constants),
            ports=len(self.inputs) + len(self.outputs),
        )
        made: set[str] = set()
        for info in self.inputs:
            _claim(made, info.name, "graph input")
            if (
                len(info.shape) == 0
                or info.shape[0] is not None
                or any(d is None or d < 1 for d in info.shape[1:])
            ):
                raise GraphError(
                    f"input '{info.name}' has shape {info.shape}; only the batch (0) may be None"
                )
            if any(axis not in range(1, len(info.shape)) for axis in info.open):
                raise GraphError(
                    f"input '{info.name}' has the open dimensions {info.open}, shape {info.shape}"
                )
            if info.step < 1:
                raise GraphError(f"input '{info.name}' has the step {info.step}; it must be at least 1")
            if info.dtype != "float32":
                raise GraphError(f"input '{info.name}' has dtype {info.dtype}; only float32 is supported")
        for name in self.constants:
            _claim(made, name, "constant")
        for name, array in arrays(self.constants):
            if array.dtype != np.float32:
                raise GraphError(f"constant '{name}' has dtype {array.dtype}, expected float32")
            if array.size == 0:
                raise GraphError(f"constant '{name}' of shape {array.shape} has no elements")
            if not np.isfinite(array).all():
                raise GraphError(f"constant '{name}' holds NaN or infinity")
        names: set[str] = set()
        for node in self.nodes:
            if node.name in names:
                raise GraphError(f"two nodes are named '{node.name}'")
            names.add(node.name)
            check_node(node)
            check_constants(node, self.constants)
            for tensor in node.outputs:
                _claim(made, tensor, f"output of node '{node.name}'")
        facts = self.facts().infer()
        for tensor, grid in self.quantization.items():
            if tensor not in facts.shapes:
                raise GraphError(f"'{tensor}' is quantized, but there is no such tensor")
            grid.check(tensor, facts.shapes[tensor])
            if grid.element is I8 and tensor not in self.constants:
                raise GraphError(f"'{tensor}' is quantized to i8; what is computed must be u8")
        _check_follows(self.nodes, {info.name: info.shape for info in self.inputs}, facts.shapes)
        for node in self.nodes:
            shape = facts.shapes[node.output]
            if not shape or shape[0] is not None:
                raise GraphError(f"node '{node.name}' ({node.op}) does not depend on any input of the graph")
        if not self.outputs:
            raise GraphError("the graph has no outputs")
        for name in self.outputs:
            if name not in made or name in self.constants:
                raise GraphError(f"graph output '{name}' is made by no node")
        return facts


def _claim(made: set[str], name: str, what: str) -> None:
    if not name:
        raise GraphError(f"{what} has an empty name")
    if name in made:
        raise GraphError(f"tensor '{name}' is defined twice (again as {what})")
    made.add(name)


def _check_follows(nodes: Sequence[Node], before: dict[str, Shape], shapes: Mapping[str, Shape]) -> None:
    """Raise GraphError unless every number that follows from a size does so at the graph's own."""
    for node in nodes if any(node.follows for node in nodes) else ():
        if node.follows and followed(node, before) != node.attrs:
            raise GraphError(
                f"node '{node.name}' ({node.op}): its numbers are not those that follow from the sizes"
            )
        before[node.output] = shapes[node.output]
