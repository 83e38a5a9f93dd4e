"""Which channels must stay: the smallest sets that keep every number of the outputs.

Sets start from the graph's inputs and outputs, which keep all channels, and grow until every node is content: what a
kept output channel needs is kept, and tensors that an op reads or writes channel by channel (depthwise, residual
add, pooling, concat, …) keep the same ones. Growth is monotone, so the fixpoint is unique and reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.passes.channel_values import (
    ARITHMETIC,
    PER_CHANNEL,
    Values,
    keeps_channel_order,
)
from sparsenet.graph import Graph, Node
from sparsenet.graph.ops import attributes, split_inputs

Kept = npt.NDArray[np.bool_]  # (C,) True: the channel stays

PER_MAP = PER_CHANNEL | {"max_pool2d", "avg_pool2d", "global_avg_pool2d", "pad", "resize"}


def needed_channels(graph: Graph, values: Mapping[str, Values]) -> dict[str, Kept]:
    """For each graph input and node output, (C,) which channels must stay.

    Args:
        graph: a verified graph.
        values: its constant channels, from ``channel_values``.
    """
    ties = _Ties(graph, values)
    ties.grow(graph.nodes)
    for node in reversed(graph.nodes):
        kept = ties.kept[node.output]
        if not kept.any():  # no tensor may become empty; a constant channel drags the least along
            kept[np.argmax(~np.isnan(values[node.output]))] = True
            ties.grow(ties.beside(node.output))
    return ties.kept


def constant_carrier(values: Values, attrs: Mapping[str, Any]) -> int | None:
    """The input channel that stands in for all constant ones of a zero-padded convolution; ``None`` if not needed.

    A constant v behind zero padding is v times the picture "1 inside, 0 in the padding". One channel that shows this
    picture is enough: the weights of the others, times their constants, move onto it, and borders stay exact. The
    largest constant is taken, so that nothing is scaled up.
    """
    sizes = np.nan_to_num(np.abs(values))
    return int(sizes.argmax()) if any(attrs.get("padding", [])) and sizes.any() else None


class _Ties:
    def __init__(self, graph: Graph, values: Mapping[str, Values]) -> None:
        self._graph = graph
        self._values = values
        self._shapes = graph.shapes()
        self._connected: dict[str, Kept] = {}
        self._beside: dict[str, list[Node]] = {name: [] for name in values}
        for node in graph.nodes:
            for name in dict.fromkeys([*node.inputs, node.output]):
                if name in values:
                    self._beside[name].append(node)
        self.kept: dict[str, Kept] = {name: np.zeros(len(vector), bool) for name, vector in values.items()}
        for name in [*(t.name for t in graph.inputs), *graph.outputs]:
            if name in self.kept:
                self.kept[name][:] = True

    def beside(self, tensor: str) -> list[Node]:
        """The nodes that make or read ``tensor``, in order."""
        return self._beside[tensor]

    def grow(self, nodes: Sequence[Node]) -> None:
        """Spread along ``nodes``, then along whatever stands beside a tensor that has grown, until nothing changes."""
        waiting = {id(node): node for node in nodes}
        while waiting:
            _, node = waiting.popitem()  # the last first: most of what is needed is needed by later nodes
            around = [name for name in dict.fromkeys([*node.inputs, node.output]) if name in self.kept]
            before = [np.count_nonzero(self.kept[name]) for name in around]
            self._spread(node)
            for name, count in zip(around, before, strict=True):
                if np.count_nonzero(self.kept[name]) != count:
                    waiting |= {id(other): other for other in self._beside[name]}

    def _spread(self, node: Node) -> None:
        own, extra = split_inputs(node)
        attrs = attributes(node)
        out = self.kept[node.output]
        if node.op == "resize":
            own = own[:1]  # of the other image it takes only the size
        activations = [name for name in own if name in self.kept]
        first_only = activations == own[:1]
        for name in extra:
            if name in self.kept:
                self._tie_runs(name, node.output, len(out))
        if node.op in ("conv2d", "linear") and first_only:
            if attrs.get("groups", 1) > 1:
                self._tie_runs(own[0], node.output, attrs["groups"])
            else:
                self.kept[own[0]] |= self._read_by_layer(own, attrs, out)
        elif node.op in PER_MAP and first_only:
            self._tie_runs(own[0], node.output, len(out))
        elif node.op == "concat" and activations == own:
            self._tie_concat(own, node.output, attrs["axis"])
        elif node.op in ARITHMETIC and all(self._same_rank(name, node.output) for name in activations):
            for name in activations:
                if len(self.kept[name]) == len(out):
                    self._tie_runs(name, node.output, len(out))
                else:  # a map broadcast over all channels
                    self.kept[name] |= out.any()
        elif keeps_channel_order(node, self._shapes[own[0]], self._shapes[node.output]) and first_only:
            self._tie_runs(own[0], node.output, len(self.kept[own[0]]))
        else:
            for name in [*activations, node.output]:
                self.kept[name][:] = True

    def _tie_runs(self, a: str, b: str, count: int) -> None:
        """Both tensors consist of ``count`` equal runs of channels; a run stays whole, or goes, in both."""
        runs = self.kept[a].reshape(count, -1).any(1) | self.kept[b].reshape(count, -1).any(1)
        for name in (a, b):
            self.kept[name] |= np.repeat(runs, len(self.kept[name]) // count)

    def _tie_concat(self, parts: list[str], whole: str, axis: int) -> None:
        start = 0
        for name in parts:
            part = self.kept[whole][start : start + len(self.kept[name])]  # a view
            part |= self.kept[name]
            self.kept[name] |= part
            start += len(part) if axis == 1 else 0

    def _same_rank(self, a: str, b: str) -> bool:
        return len(self._shapes[a]) == len(self._shapes[b]) > 1

    def _read_by_layer(self, own: list[str], attrs: Mapping[str, Any], out: Kept) -> Kept:
        """Input channels that a layer without groups needs to make its output channels ``out``."""
        if own[1] not in self._connected:
            weight = self._graph.constants[own[1]]
            self._connected[own[1]] = (weight.reshape(*weight.shape[:2], -1) != 0).any(axis=-1)
        read: Kept = np.asarray(self._connected[own[1]][out].any(axis=0))
        values = self._values[own[0]]
        needed: Kept = np.asarray(read & np.isnan(values))
        carrier = constant_carrier(values, attrs)
        if carrier is not None and (read & (np.nan_to_num(values) != 0)).any():
            needed[carrier] = True
        return needed
