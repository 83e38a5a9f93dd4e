"""Transpositions wander behind what does not care for the order of axes, until they meet and cancel."""

from __future__ import annotations

import heapq

import numpy as np

from converters.passes.eliminate_dead import eliminate_dead
from converters.passes.remove_identity import remove_identity
from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node
from sparsenet.ops import ACTIVATIONS

_ARITHMETIC = {"add", "sub", "mul", "div", "maximum", "minimum"}


def sink_transposes(graph: Graph) -> Graph:
    """Move transpositions behind activations and arithmetic with constants, and merge those that follow each other.

    Exact: such ops treat every number alike, whatever its place; a constant is transposed along. Networks that turn to
    channels-last for a linear layer (ConvNeXt's blocks) become chains of 1x1 convolutions again, which fuse.
    """
    wiring = Rewiring(graph)
    at = {wiring.place(node): node for node in wiring.nodes()}
    waiting, queued = sorted(at), set(at)  # places to look at; the first in order comes first
    while waiting:
        place = heapq.heappop(waiting)
        queued.discard(place)
        for node in _step(wiring, at[place]):
            if wiring.place(node) not in queued:
                queued.add(wiring.place(node))
                heapq.heappush(waiting, wiring.place(node))
    return eliminate_dead(remove_identity(wiring.done()))


def _step(wiring: Rewiring, node: Node) -> list[Node]:
    """Make one change at ``node``, if there is one to make; returns the nodes at which there may be another now."""
    before = wiring.producer(_activation(wiring, node))
    if before is None or before.op != "transpose":
        return []
    if node.op == "transpose":
        _merge(wiring, node, before)
        return [node, *wiring.readers(node.output), *wiring.readers(before.output)]
    if _treats_all_alike(node) and wiring.only_reader(before.output) is node:
        _swap(wiring, before, node)
        return [before, node, *wiring.readers(node.output)]
    return []


def _activation(wiring: Rewiring, node: Node) -> str:
    """The only input of a node that is no constant, or ""."""
    names = [name for name in node.inputs if name and name not in wiring.constants]
    return names[0] if len(names) == 1 else ""


def _treats_all_alike(node: Node) -> bool:
    return not node.epilogue and (
        node.op in ACTIVATIONS or (node.op in _ARITHMETIC and len(node.inputs) == 2)
    )


def _merge(wiring: Rewiring, node: Node, before: Node) -> None:
    perm = [before.attrs["perm"][i] for i in node.attrs["perm"]]
    wiring.read(node, [before.inputs[0]])
    if perm == list(range(len(perm))):
        node.op, node.attrs = "identity", {}
    else:
        node.attrs = {"perm": perm}


def _swap(wiring: Rewiring, turn: Node, node: Node) -> None:
    """``node(turn(x))`` as ``turn(node(x))``; the result keeps its name, what is between is a new tensor."""
    perm = turn.attrs["perm"]
    back = [perm.index(i) for i in range(len(perm))]
    position = node.inputs.index(turn.output)
    for other, name in enumerate(node.inputs):
        if other != position:
            constant = wiring.constants[name]
            full = constant.reshape((1,) * (len(perm) - constant.ndim) + constant.shape)
            wiring.set_constant(node, other, np.transpose(full, back), f"{name}.turned")
    inner = wiring.unused_name(f"{node.output}.turned")
    inputs = [turn.inputs[0] if i == position else name for i, name in enumerate(node.inputs)]
    turn.op, turn.attrs, node.op, node.attrs = node.op, node.attrs, "transpose", {"perm": perm}
    wiring.read(turn, inputs)
    wiring.rename_output(turn, inner)
    wiring.read(node, [inner])
    turn.name, node.name = node.name, turn.name
