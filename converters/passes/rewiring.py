"""The few graph edits every pass is made of. They change the graph they are given: passes work on a copy.

``merge_into`` is the only way two nodes become one. The merged node takes the place of the *later* node, which is
always legal because that node was the only reader of the earlier one, and it keeps the later node's output name, so
every tensor that survives can be compared with the source network by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.graph import Graph, Node
from sparsenet.ops import epilogue_fits, split_inputs

Float64Array = npt.NDArray[np.float64]


def read_instead(graph: Graph, old: str, new: str) -> None:
    """Let every node that reads ``old`` read ``new``; graph outputs stay as they are."""
    for node in graph.nodes:
        node.inputs = [new if name == old else name for name in node.inputs]


def only_reader(graph: Graph, tensor: str) -> Node | None:
    """The node that reads ``tensor``, if it is read exactly once and is no graph output; else ``None``."""
    if graph.use_counts()[tensor] != 1:
        return None
    return next((node for node in graph.nodes if tensor in node.inputs), None)


def constants_of(graph: Graph, names: list[str]) -> list[Float64Array] | None:
    """The named constants in float64, or ``None`` if one of them is no constant."""
    if any(name not in graph.constants for name in names):
        return None
    return [graph.constants[name].astype(np.float64) for name in names]


def set_constant(graph: Graph, node: Node, position: int, array: npt.NDArray[Any], name: str) -> None:
    """Make input ``position`` of ``node`` the constant ``array`` (stored as float32).

    A constant that only this node reads is replaced under its own name; otherwise ``name``, made unique, is used, so
    that a constant shared by several nodes never changes under the others.
    """
    node.inputs += [""] * (position + 1 - len(node.inputs))
    current = node.inputs[position]
    if current not in graph.constants or graph.use_counts()[current] != 1:
        current = unused_name(graph, name)
    node.inputs[position] = current
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there, as in the network itself
        graph.constants[current] = np.ascontiguousarray(array, dtype=np.float32)


def unused_name(graph: Graph, name: str) -> str:
    """``name``, or ``name.1``, ``name.2``, … if a tensor of the graph is already called so."""
    taken = (
        {t.name for t in graph.inputs}
        | set(graph.constants)
        | {n for node in graph.nodes for n in node.outputs}
    )
    candidate, count = name, 0
    while candidate in taken:
        count += 1
        candidate = f"{name}.{count}"
    return candidate


def may_merge(first: Node, second: Node, steps: list[list[Any]]) -> bool:
    """Whether the epilogue that ``merge_into`` would make is short enough for a kernel."""
    return epilogue_fits([*first.epilogue, *steps, *second.epilogue])


def merge_into(graph: Graph, first: Node, second: Node, steps: list[list[Any]], tensors: list[str]) -> None:
    """Merge ``second``, the only reader of ``first``, into ``first``.

    ``steps`` and the ``tensors`` they read are what is left to do of ``second``'s own op; its epilogue follows them.
    """
    _, extra = split_inputs(second)
    first.inputs = [*first.inputs, *tensors, *extra]
    epilogue = [*first.epilogue, *steps, *second.epilogue]
    if epilogue:
        first.attrs["epilogue"] = epilogue
    first.outputs = list(second.outputs)
    graph.nodes.remove(first)
    graph.nodes[next(i for i, node in enumerate(graph.nodes) if node is second)] = first
