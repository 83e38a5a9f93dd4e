"""Borders between float32 and integers: which of the nodes that integers can compute are worth what the borders cost.

A number that changes its form costs time, once for each tensor and direction, and a node in integers saves some. The
nodes that together save most are a minimum cut: one side is integers, the other float32, and what is cut are savings
that are lost and borders that are crossed (Picard, Management Science 22(11), 1976). Only the graph decides, no
machine, so that a network's results are the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping

import numpy as np

from sparsenet.graph.graph import Graph
from sparsenet.graph.node import Node
from sparsenet.graph.ops import OPS, split_inputs
from sparsenet.graph.ops.table import value_inputs
from sparsenet.graph.types import Shape

#: What a nonzero weight's product with one number saves is 1. So much as this costs a number on its way into integers
#: and out of them: measured on AVX-512, one thread, as the times of kernels in MobileNetV1, MiniXception and ResNet-50.
INTO_INTEGERS, OUT_OF_INTEGERS = 12, 6
#: So much is saved of a number that a node without weights reads, by kind; ``WINDOW`` where windows read it several
#: times.
READ, WINDOW = {"sum": 6, "factors": 6, "table": 6, "mean": 2, "choice": 2}, 6


def worth_their_borders(
    graph: Graph, shapes: Mapping[str, Shape], possible: Collection[str]
) -> frozenset[str]:
    """The names of those nodes in ``possible`` that are to be computed in integers.

    Inputs and outputs of the graph cost nothing: they are float32 whatever is between.
    """
    if all(node.name in possible for node in graph.nodes):
        return frozenset(possible)
    cut = _Cut(lambda node: _saving(graph, shapes, node))
    makers = {node.output: node for node in graph.nodes if node.name in possible}
    inputs = {info.name for info in graph.inputs}
    for node in graph.nodes:
        able = node.name in possible
        for tensor in [*value_inputs(node), *split_inputs(node)[1]]:
            if not tensor or tensor in graph.constants or tensor in inputs:
                continue
            maker, numbers = makers.get(tensor), _size(shapes[tensor])
            if maker is not None and tensor in graph.quantization:
                # The maker in integers and any reader not: the tensor is needed in float32.
                cut.edge(maker.name, (tensor, "float32"), OUT_OF_INTEGERS * numbers)
                cut.edge((tensor, "float32"), node.name if able else _Cut.SINK, math.inf)
            if able:
                cut.edge((tensor, "bytes"), maker.name if maker else _Cut.SINK, INTO_INTEGERS * numbers)
                cut.edge(node.name, (tensor, "bytes"), math.inf)
    nodes = {node.name: node for node in graph.nodes if node.name in possible}
    return frozenset(nodes) - cut.sink_side(nodes)


def _size(shape: Shape) -> int:
    return math.prod(int(size or 1) for size in shape)


def _saving(graph: Graph, shapes: Mapping[str, Shape], node: Node) -> int:
    """What the node saves in integers."""
    if OPS[node.op].weighted:
        weight = graph.constants[node.inputs[1]]
        pixels = _size(shapes[node.output][2:])
        return int(np.count_nonzero(weight)) * pixels
    schema = OPS[node.op]
    names = (name for name in value_inputs(node) if name and name not in graph.constants)
    return (WINDOW if schema.windowed else READ[schema.integer]) * sum(_size(shapes[name]) for name in names)


class _Cut:
    """A network of capacities whose source has an edge to every node, with the capacity ``saving``.

    The flow goes along shortest paths (Edmonds and Karp, Journal of the ACM 19(2), 1972), searched from the sink: as
    every node is next to the source, they are short.
    """

    SINK = None

    def __init__(self, saving: Callable[[Node], int]) -> None:
        self._saving = saving
        self._left: dict[str, int] = {}
        #: Place → the places with an edge to it, and what that may still carry.
        self._into: dict[Hashable, dict[Hashable, float]] = {}

    def edge(self, start: Hashable, end: Hashable, capacity: float) -> None:
        """An edge; one that is there already stays as it is."""
        self._into.setdefault(end, {}).setdefault(start, capacity)
        self._into.setdefault(start, {}).setdefault(end, 0)

    def sink_side(self, nodes: Mapping[str, Node]) -> set[str]:
        """The names of the nodes that a minimum cut leaves with the sink, as few as there may be."""
        found: set[str] = set()
        for ends in self._parts():
            while True:
                following: dict[Hashable, Hashable] = dict.fromkeys(ends, self.SINK)
                start = self._search(nodes, following)
                if start is None:
                    break
                self._augment(start, following)
                ends = [place for place in ends if self._into[self.SINK][place] > 0]
            found.update(place for place in following if isinstance(place, str))
        return found

    def _parts(self) -> Iterator[list[Hashable]]:
        """The places next to the sink, those together that are connected without it: nothing flows between others."""
        seen: set[Hashable] = {self.SINK}
        ends = self._into.get(self.SINK, {})
        for start in ends:
            if start in seen:
                continue
            seen.add(start)
            part = [start]
            for place in part:
                fresh = [other for other in self._into.get(place, {}) if other not in seen]
                seen.update(fresh)
                part += fresh
            yield [place for place in part if ends.get(place, 0) > 0]

    def _search(self, nodes: Mapping[str, Node], following: dict[Hashable, Hashable]) -> str | None:
        """The nearest node whose saving is not used up; ``following`` becomes the way from each place to the sink."""
        queue = list(following)
        for place in queue:
            if isinstance(place, str):
                if place not in self._left:
                    self._left[place] = self._saving(nodes[place])
                if self._left[place] > 0:
                    return place
            for before, capacity in self._into.get(place, {}).items():
                if capacity > 0 and before not in following and before is not self.SINK:
                    following[before] = place
                    queue.append(before)
        return None

    def _augment(self, start: str, following: Mapping[Hashable, Hashable]) -> None:
        steps: list[tuple[Hashable, Hashable]] = []
        place: Hashable = start
        while place is not self.SINK:
            steps.append((place, following[place]))
            place = following[place]
        flow = min(self._left[start], *(self._into[end][begin] for begin, end in steps))
        self._left[start] -= int(flow)
        for begin, end in steps:
            self._into[end][begin] -= flow
            self._into[begin][end] += flow
