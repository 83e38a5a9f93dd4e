"""A graph while a pass edits it: who makes and who reads each tensor is looked up, never searched for.

A pass begins with ``Rewiring(graph)``, which works on a copy, edits through its methods, and ends with ``done()``. What
the methods know stays true as long as inputs, outputs and the list of nodes change through them alone; ``op`` and
``attrs`` of a node are the pass's own. Every edit costs what it changes, not what the graph holds.

``merge`` is the only way two nodes become one. The merged node takes the place of the *later* node, which is always
legal because that node was the only reader of the earlier one, and it keeps the later node's output name, so every
tensor that survives can be compared with the source network by name.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node, Quantization
from sparsenet.graph.ops import epilogue_fits, split_inputs

Float64Array = npt.NDArray[np.float64]


class Rewiring:
    """A copy of ``graph``, to be edited.

    Attributes:
        constants: by name; a pass may read them, ``set_constant`` writes.
        outputs: the names of the graph's outputs.
        quantization: the grids of tensors, by name; a pass may read them.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph.copy()
        self.constants = self._graph.constants
        self.outputs = frozenset(graph.outputs)
        self.quantization = self._graph.quantization
        self._inputs = {info.name for info in graph.inputs}
        self._places: list[list[Node]] = []  # for each node of the graph, its present replacement
        self._place: dict[int, int] = {}
        self._makers: dict[str, Node] = {}
        self._readers: defaultdict[str, dict[int, Node]] = defaultdict(dict)
        self._uses = Counter(graph.outputs)
        self._suffixes: Counter[str] = Counter()
        for node in self._graph.nodes:
            self._places.append([])
            self._enter(node, len(self._places) - 1, 0)

    # --- looking

    def nodes(self, *ops: str) -> list[Node]:
        """The nodes as they are now, in order; only those of ``ops`` if any are named."""
        return [node for place in self._places for node in place if not ops or node.op in ops]

    def place(self, node: Node) -> int:
        """A number that is larger the later the node executes."""
        return self._place[id(node)]

    def producer(self, tensor: str) -> Node | None:
        """The node that makes ``tensor``; ``None`` for inputs and constants."""
        return self._makers.get(tensor)

    def readers(self, tensor: str) -> list[Node]:
        """The nodes that read ``tensor``, each once, in no order."""
        return list(self._readers[tensor].values()) if tensor in self._readers else []

    def only_reader(self, tensor: str) -> Node | None:
        """The node that reads ``tensor``, if it is read exactly once and is no graph output; else ``None``."""
        return (
            next(iter(self._readers[tensor].values()))
            if self._uses[tensor] == 1 and self._readers[tensor]
            else None
        )

    def constants_of(self, names: Iterable[str]) -> list[Float64Array] | None:
        """The named constants in float64, or ``None`` if one of them is no constant."""
        arrays = [self.constants.get(name) for name in names]
        return (
            None
            if any(a is None for a in arrays)
            else [a.astype(np.float64) for a in arrays if a is not None]
        )

    def unused_name(self, name: str) -> str:
        """``name``, or ``name.1``, ``name.2``, … if a tensor of the graph is already called so."""
        candidate = name
        while candidate in self._inputs or candidate in self.constants or candidate in self._makers:
            self._suffixes[name] += 1
            candidate = f"{name}.{self._suffixes[name]}"
        return candidate

    # --- editing

    def read(self, node: Node, inputs: list[str]) -> None:
        """Let ``node`` read other tensors."""
        self._forget_reads(node)
        node.inputs = inputs
        self._note_reads(node)

    def read_instead(self, old: str, new: str) -> None:
        """Let every node that reads ``old`` read ``new``; graph outputs stay as they are."""
        for node in self.readers(old):
            self.read(node, [new if name == old else name for name in node.inputs])

    def rename_output(self, node: Node, name: str) -> None:
        """Let ``node`` make ``name``; whoever reads its output of now goes on reading that."""
        if self._makers.get(node.output) is node:
            del self._makers[node.output]
        node.outputs = [name]
        self._makers[name] = node

    def remove(self, node: Node) -> None:
        """Take the node out."""
        self._forget_reads(node)
        if self._makers.get(node.output) is node:
            del self._makers[node.output]
        place = self._places[self._place.pop(id(node))]
        place[:] = [other for other in place if other is not node]

    def insert_before(self, node: Node, new: Node) -> None:
        """Put a new node right before another."""
        place = self.place(node)
        self._enter(new, place, next(i for i, other in enumerate(self._places[place]) if other is node))

    def set_constant(
        self,
        node: Node,
        position: int,
        array: npt.NDArray[Any],
        name: str,
        grid: Quantization | None = None,
    ) -> None:
        """Make input ``position`` of ``node`` the constant ``array`` (stored as float32), on ``grid`` if it has one.

        A constant that only this node reads is replaced under its own name; otherwise ``name``, made unique, is used,
        so that a constant shared by several nodes never changes under the others.
        """
        inputs = node.inputs + [""] * (position + 1 - len(node.inputs))
        current = inputs[position]
        if current not in self.constants or self._uses[current] != 1:
            current = self.unused_name(name)
        inputs[position] = current
        self.read(node, inputs)
        self._graph.quantization.pop(current, None)  # the new numbers need not lie on the old grid
        if grid is not None:
            self._graph.quantization[current] = grid
        with np.errstate(over="ignore"):  # what is beyond float32 is infinite there, as in the network itself
            self.constants[current] = np.ascontiguousarray(array, dtype=np.float32)

    def merge(self, first: Node, second: Node, steps: list[list[Any]], tensors: list[str]) -> None:
        """Merge ``second``, the only reader of ``first``, into ``first``.

        ``steps`` and the ``tensors`` they read are what is left to do of ``second``'s own op; its epilogue follows.
        """
        _, extra = split_inputs(second)
        epilogue = [*first.epilogue, *steps, *second.epilogue]
        output, place = second.output, self.place(second)
        inputs = [*first.inputs, *tensors, *extra]
        self.remove(second)
        self.remove(first)
        first.inputs, first.outputs = inputs, [output]
        if epilogue:
            first.attrs["epilogue"] = epilogue
        self._enter(first, place, 0)

    def done(self) -> Graph:
        """The graph, without the constants that nobody reads any more."""
        self._graph.nodes = self.nodes()
        self._graph.drop_unused_constants()
        return self._graph

    # --- the books

    def _enter(self, node: Node, place: int, index: int) -> None:
        self._places[place].insert(index, node)
        self._place[id(node)] = place
        self._makers[node.output] = node
        self._note_reads(node)

    def _reads(self, node: Node) -> Iterator[str]:
        return (name for name in node.inputs if name)

    def _note_reads(self, node: Node) -> None:
        for name in self._reads(node):
            self._uses[name] += 1
            self._readers[name][id(node)] = node

    def _forget_reads(self, node: Node) -> None:
        for name in self._reads(node):
            self._uses[name] -= 1
            self._readers[name].pop(id(node), None)


def may_merge(first: Node, second: Node, steps: list[list[Any]]) -> bool:
    """Whether the epilogue that ``Rewiring.merge`` would make is short enough for a kernel."""
    return epilogue_fits([*first.epilogue, *steps, *second.epilogue])
