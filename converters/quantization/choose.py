"""Which layers are to be computed in integers, and which tensors must then share a grid."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase

from converters.passes.affine_as_depthwise import affine_as_depthwise
from converters.quantization.split import split_epilogues
from sparsenet.errors import InputError
from sparsenet.graph import Graph, Node
from sparsenet.graph.borders import worth_their_borders
from sparsenet.graph.integer import possible_in_integers
from sparsenet.graph.ops import OPS, split_inputs, value_inputs
from sparsenet.graph.quantization import Quantization

#: Words of ``skip`` beside patterns of names.
FIRST, LAST = "first", "last"


@dataclass(frozen=True)
class Choice:
    """A float32 network whose layers are such that integers can compute them.

    Attributes:
        graph: it.
        nodes: those to be computed in integers, in order.
        groups: by tensor, the tensor that stands for all that have its grid.
    """

    graph: Graph
    nodes: list[Node]
    groups: Mapping[str, str]

    @property
    def weighted(self) -> list[Node]:
        """The nodes that multiply with a weight."""
        return [node for node in self.nodes if OPS[node.op].weighted]

    @property
    def sources(self) -> list[str]:
        """The tensors that decide the grids: all but those that only hold numbers of others with the same grid."""
        moved = {node.output for node in self.nodes if OPS[node.op].integer == "choice"}
        return [name for name in self.groups if name not in moved]


def choose(graph: Graph, skip: Collection[str]) -> Choice:
    """The layers of a float32 network that integers are to compute: all that can, where a neighbour is one as well.

    Layers with weights are worth it by themselves. What else there is, is left in float32 where its numbers come from
    float32 or go there.

    Args:
        graph: optimized.
        skip: layers that stay float32 (see ``quantize``).
    """
    kept = kept_float(graph, skip)
    parts = split_epilogues(graph, _names(graph) - kept)
    wanted = _integer(affine_as_depthwise(parts, _names(parts) - kept), graph, kept)
    parts = affine_as_depthwise(split_epilogues(graph, wanted), wanted)
    found = _integer(parts, graph, kept)
    nodes = [node for node in parts.nodes if node.name in found]
    return Choice(parts, nodes, _groups(parts, nodes))


def kept_float(graph: Graph, skip: Collection[str]) -> set[str]:
    """The names of the layers with weights that patterns of names, "first" and "last" mean.

    Raises:
        InputError: one of them means no layer.
    """
    layers = [node for node, _ in graph.weight_names()]
    kept: set[str] = set()
    for pattern in skip:
        found = {node.name for node in layers if fnmatchcase(node.name, pattern)}
        if not found and pattern in (FIRST, LAST):
            found = _ends(graph, {node.name for node in layers}, backwards=pattern == LAST)
        if not found:
            raise InputError(
                f"no layer with weights is called '{pattern}'; there are {', '.join(n.name for n in layers[:5])}, …"
            )
        kept |= found
    return kept


def tensors_of(node: Node) -> list[str]:
    """The tensors that a node reads the numbers of, constants among them, and the one that it makes."""
    return [name for name in [*value_inputs(node), *split_inputs(node)[1], node.output] if name]


def _names(graph: Graph) -> set[str]:
    return {node.name for node in graph.nodes}


def _integer(graph: Graph, original: Graph, kept: Set[str]) -> frozenset[str]:
    """The names of the nodes of ``graph`` that are worth it; ``original`` knows which have weights by nature."""
    trial, shapes = _trial(graph), graph.shapes()
    partial, possible = graph.partial(), possible_in_integers(trial, shapes) - kept
    can = {
        node.name
        for node in graph.nodes
        if node.name in possible and partial.keys().isdisjoint(tensors_of(node))
    }
    certain = {node.name for node, _ in original.weight_names()}
    inputs = {info.name for info in graph.inputs}
    while True:
        made = {node.output for node in graph.nodes if node.name in can}
        read = {name for node in graph.nodes if node.name in can for name in tensors_of(node)[:-1]}
        worth = {
            node.name
            for node in graph.nodes
            if node.name in can
            and (node.name in certain or (node.output in read and _begins(node, made, inputs)))
        }
        if worth == can:
            return worth_their_borders(trial, shapes, can)
        can = worth


def _begins(node: Node, made: Collection[str], inputs: Collection[str]) -> bool:
    """Whether a tensor that the node reads is in integers already, or may as well be: an image that is only moved."""
    read = tensors_of(node)[:-1]
    return any(name in made or (name in inputs and OPS[node.op].integer == "choice") for name in read)


def _trial(graph: Graph) -> Graph:
    """The graph with one grid for all tensors: what it could compute in integers, given the right ones."""
    trial = graph.copy()
    trial.quantization = {
        name: Quantization.of_activations(1.0, 128) for name in graph.shapes() if name not in graph.constants
    }
    # Small steps, so that results of layers that scale theirs hundreds of times fit: their grids will be coarser.
    trial.quantization |= {name: Quantization.of_weights(2.0**-8) for _, name in graph.weight_names()}
    return trial


def _groups(graph: Graph, nodes: list[Node]) -> dict[str, str]:
    """By tensor that has a grid, the first of those that share it."""
    group: dict[str, str] = {}

    def first(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for node in nodes:
        names = [name for name in tensors_of(node) if name not in graph.constants]
        for name in names:
            group.setdefault(name, name)
        if OPS[node.op].integer == "choice":
            for name in names[1:]:
                group[first(name)] = first(names[0])
    return {name: first(name) for name in group}


def _ends(graph: Graph, layers: Collection[str], backwards: bool) -> set[str]:
    """The layers that no other layer comes before, or behind."""
    reached: set[str] = set()
    ends: set[str] = set()
    for node in reversed(graph.nodes) if backwards else graph.nodes:
        before, behind = ([node.output], node.inputs) if backwards else (node.inputs, [node.output])
        there = bool(reached.intersection(before))
        if node.name in layers and not there:
            ends.add(node.name)
        if there or node.name in layers:
            reached.update(behind)
    return ends
