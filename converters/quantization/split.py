"""Layers taken apart: what no epilogue in integers can do becomes a node of its own, behind a tensor to be rounded.

The values stay exactly what they were. An activation such as ``silu`` is then computed from a table, and a scaling by
channel behind an added tensor as a depthwise convolution (``passes.affine_as_depthwise``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph, Node
from sparsenet.graph.clamped_line import bend_of, bounds_of
from sparsenet.graph.ops import ACTIVATIONS, FUSED_OP_TENSORS, OPS, split_inputs


def split_epilogues(graph: Graph, names: Collection[str]) -> Graph:
    """Take the nodes of these names apart, so far as their epilogues do more than integers do (``graph.integer``)."""
    wiring = Rewiring(graph)
    taken = {node.name for node in graph.nodes}
    for node in wiring.nodes():
        if node.name in names:
            _split(wiring, node, taken)
    return wiring.done()


def _split(wiring: Rewiring, node: Node, taken: set[str]) -> None:
    """Leave ``node`` the last of its parts, which makes its tensor, and put the others before it."""
    own, added = split_inputs(node)
    attrs = {name: value for name, value in node.attrs.items() if name != "epilogue"}
    first, *later = _parts(Node(node.op, node.name, own, [""], attrs, node.follows), node.epilogue, added)
    if not later:
        return
    for part in later:
        part.name = _unused(f"{node.name}.{part.op}", taken)
    tensor = ""
    for part, following in zip((first, *later), later, strict=False):
        part.outputs = [wiring.unused_name(f"{node.output}.before_{following.op}")]
        part.inputs[:1] = [tensor or part.inputs[0]]
        wiring.insert_before(node, part)
        tensor = part.output
    last = later[-1]
    node.op, node.name, node.attrs, node.follows = last.op, last.name, last.attrs, {}
    wiring.read(node, [tensor, *last.inputs[1:]])


def _parts(head: Node, epilogue: list[list[Any]], tensors: list[str]) -> list[Node]:
    """The nodes that ``head`` with this epilogue becomes; the first input of all but the head is still to be named."""
    rest = iter(tensors)
    parts = [head]
    for step in epilogue:
        read = [next(rest) for _ in FUSED_OP_TENSORS.get(step[0], ())]
        if _takes(parts[-1], step):
            parts[-1].attrs["epilogue"] = [*parts[-1].epilogue, step]
            parts[-1].inputs += read
        else:
            names = ACTIVATIONS[step[0]].parameters if step[0] in ACTIVATIONS else ()
            parts.append(Node(step[0], "", ["", *read], [""], dict(zip(names, step[1:], strict=True))))
    return parts


def _takes(node: Node, step: list[Any]) -> bool:
    """Whether the node can do this in integers as well, behind what it does already."""
    if step[0] == "add":
        return OPS[node.op].weighted and not node.epilogue
    if step[0] == "affine":
        return OPS[node.op].weighted and all(
            before[0] not in ("add", "leaky_relu") for before in node.epilogue
        )
    return OPS[node.op].epilogue and (bounds_of(step) is not None or bend_of(step) is not None)


def _unused(name: str, taken: set[str]) -> str:
    candidates: Iterator[str] = (name if not i else f"{name}.{i}" for i in range(len(taken) + 1))
    found = next(candidate for candidate in candidates if candidate not in taken)
    taken.add(found)
    return found
