"""Which channels must stay: the smallest sets that keep every number of the outputs.

Sets start from the graph's inputs and outputs, which keep all channels, and grow until every node is content: what a
kept output channel needs is kept, and coupled channels (see ``coupled_channels``) are kept together. Growth is
monotone, so the fixpoint is unique and reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.passes.channel_values import Values
from converters.passes.coupled_channels import Coupling, Couplings, couplings
from converters.passes.whole_quads import whole_quads
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import OPS, attributes

Kept = npt.NDArray[np.bool_]  # (C,) True: the channel stays


def needed_channels(graph: Graph, values: Mapping[str, Values]) -> dict[str, Kept]:
    """For each graph input and node output, (C,) which channels must stay.

    Args:
        graph: a verified graph.
        values: its constant channels, from ``channel_values``.
    """
    growth = _Growth(graph, values)
    growth.grow(graph.nodes)
    growth.keep_quads()
    for node in reversed(graph.nodes):
        kept = growth.kept[node.output]
        if not kept.any():  # no tensor may become empty; a constant channel drags the least along
            kept[np.argmax(~np.isnan(values[node.output]))] = True
            growth.grow(growth.beside(node.output))
    return growth.kept


def constant_carrier(values: Values, attrs: Mapping[str, Any]) -> int | None:
    """The input channel that replaces all constant ones of a zero-padded convolution; ``None`` if not needed.

    A constant v behind zero padding is v times the picture "1 inside, 0 in the padding". One channel that shows this
    picture is enough: the weights of the others, times their constants, move onto it, and borders stay exact. The
    largest constant is taken, so that nothing is scaled up.
    """
    sizes = np.nan_to_num(np.abs(values))
    return int(sizes.argmax()) if any(attrs.get("padding", [])) and sizes.any() else None


class _Growth:
    def __init__(self, graph: Graph, values: Mapping[str, Values]) -> None:
        self._graph = graph
        self._values = values
        self._connected: dict[str, Kept] = {}
        self._beside: dict[str, list[Node]] = {name: [] for name in values}
        shapes = graph.shapes()
        self._couplings: dict[int, Couplings | None] = {}
        for node in graph.nodes:
            self._couplings[id(node)] = couplings(node, shapes, graph.constants)
            for name in self._around(node):
                self._beside[name].append(node)
        self.kept: dict[str, Kept] = {name: np.zeros(len(vector), bool) for name, vector in values.items()}
        for name in [*(t.name for t in graph.inputs), *graph.outputs]:
            if name in self.kept:
                self.kept[name][:] = True

    def beside(self, tensor: str) -> list[Node]:
        """The nodes that make or read ``tensor``, in order."""
        return self._beside[tensor]

    def grow(self, nodes: Sequence[Node]) -> None:
        """Spread along ``nodes``, then along whatever is beside a tensor that has grown, until nothing changes."""
        waiting = {id(node): node for node in nodes}
        while waiting:
            _, node = waiting.popitem()  # the last first: most of what is needed is needed by later nodes
            around = self._around(node)
            before = [np.count_nonzero(self.kept[name]) for name in around]
            self._spread(node)
            for name, count in zip(around, before, strict=True):
                if np.count_nonzero(self.kept[name]) != count:
                    waiting |= {id(other): other for other in self._beside[name]}

    def keep_quads(self) -> None:
        """Keep the rest of a quad, too, where readers would have more quads with nonzeros after the cut."""
        for name, kept in self.kept.items():
            if kept.all():
                continue
            readers = [node for node in self._beside[name] if _is_dense(node) and node.inputs[0] == name]
            weights = [self._graph.constants[node.inputs[1]] for node in readers]
            whole = whole_quads(kept, weights, name in self._graph.quantization)
            if whole is not kept:
                self.kept[name] = whole
                self.grow(self._beside[name])

    def _around(self, node: Node) -> list[str]:
        """The tensors a node reads and makes, without constants."""
        return [name for name in dict.fromkeys([*node.inputs, node.output]) if name in self._values]

    def _spread(self, node: Node) -> None:
        found = self._couplings[id(node)]
        if found is None:
            for name in self._around(node):
                self.kept[name][:] = True
            return
        for coupling in found.coupled:
            self._couple(coupling, node.output)
        for name in found.read:
            self.kept[name] |= self._read(node, name)

    def _couple(self, coupling: Coupling, output: str) -> None:
        """Keep or remove a run as a whole, in both tensors."""
        mine, theirs = self.kept[coupling.tensor], self.kept[output][coupling.start : coupling.stop]  # views
        runs = mine.reshape(coupling.runs, -1).any(1) | theirs.reshape(coupling.runs, -1).any(1)
        for kept in (mine, theirs):
            kept |= np.repeat(runs, len(kept) // coupling.runs)

    def _read(self, node: Node, name: str) -> Kept:
        """The channels of ``name`` that a node needs to make those channels of its output that stay."""
        out = self.kept[node.output]
        if not OPS[node.op].weighted:
            return np.full(len(self.kept[name]), out.any())
        weight_name = node.inputs[1]
        if weight_name not in self._connected:
            weight = self._graph.constants[weight_name]
            self._connected[weight_name] = (weight.reshape(*weight.shape[:2], -1) != 0).any(axis=-1)
        read: Kept = np.asarray(self._connected[weight_name][out].any(axis=0))
        values = self._values[name]
        needed: Kept = np.asarray(read & np.isnan(values))
        carrier = constant_carrier(values, attributes(node))
        constant = read & (np.nan_to_num(values) != 0)
        if carrier is not None and constant.any():
            if weight_name in self._graph.quantization:
                return needed | constant  # sums of weights lie on no grid
            needed[carrier] = True
        return needed


def _is_dense(node: Node) -> bool:
    return OPS[node.op].weighted and attributes(node).get("groups", 1) == 1
