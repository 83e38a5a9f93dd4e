"""One graph for every image size, from graphs of the same network at several.

An importer computes sizes as it goes, so a graph holds some as numbers: the size an image is resized to, a reshape's
target. Graphs made for different image sizes differ in just those numbers. Where they do, the number is replaced by
what explains it at every size: a scale, the size of another map, "whatever is left". A number that nothing explains is
an error: no network is silently bound to one size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sparsenet.errors import GraphError, UnsupportedOpError
from sparsenet.graph import Graph, Node, Shape

#: What is added to the size that a network was imported at, to see what its numbers depend on. The last is odd: it
#: tells a factor from the size of another map. It is left out if the network cannot take it.
PROBES = ((64, 96), (32, 160), (13, 27))


def open_sizes(graph: Graph, at: Callable[[int, int], Graph]) -> Graph:
    """``graph`` with rows and columns of its inputs open.

    Args:
        at: (more rows, more columns) → the same network imported for images that much larger.

    Raises:
        UnsupportedOpError: a node is bound to the image size, or the network cannot be imported at another.
    """
    others = []
    for rows, columns in PROBES:
        try:
            others.append(at(rows, columns))
        except (UnsupportedOpError, GraphError):
            if (rows, columns) != PROBES[-1]:
                raise
    return unify([graph, *others])


def unify(graphs: Sequence[Graph]) -> Graph:
    """The first graph, its inputs' rows and columns open.

    Args:
        graphs: the same network, imported at different sizes; at least two.

    Raises:
        UnsupportedOpError: lists every node that is bound to a size, with the attribute and its values.
    """
    first = graphs[0].copy()
    if any(_skeleton(graph) != _skeleton(first) for graph in graphs[1:]):
        raise UnsupportedOpError(f"'{first.name}' has other nodes at other image sizes; fix the size")
    shapes = [graph.shapes() for graph in graphs]
    bound = [
        f"constant '{name}' depends on the image size"
        for name, array in first.constants.items()
        if any(not np.array_equal(array, graph.constants[name]) for graph in graphs[1:])
    ]
    for i, node in enumerate(first.nodes):
        versions = [graph.nodes[i] for graph in graphs]
        for name in [n for n in node.attrs if any(v.attrs[n] != versions[0].attrs[n] for v in versions[1:])]:
            if name in node.attrs and not _explain(node, name, versions, shapes, i, first):
                values = " and ".join(str(v.attrs[name]) for v in versions)
                bound.append(f"'{node.name}' ({node.op}): its {name} is {values}")
    if bound:
        raise UnsupportedOpError(f"'{first.name}' is bound to the image size: {'; '.join(bound)}")
    first.inputs = [
        replace(info, open=tuple(axis for axis in (2, 3) if len({s[info.name][axis] for s in shapes}) > 1))
        if len(info.shape) == 4
        else info
        for info in first.inputs
    ]
    first.verify()
    return first


def _skeleton(graph: Graph) -> list[Any]:
    names = [(n.op, n.name, tuple(n.inputs), n.output, sorted(n.attrs)) for n in graph.nodes]
    return [names, [i.name for i in graph.inputs], graph.outputs, sorted(graph.constants)]


def _explain(
    node: Node,
    name: str,
    versions: Sequence[Node],
    shapes: Sequence[dict[str, Shape]],
    index: int,
    graph: Graph,
) -> bool:
    """Replace a number by what it depends on; False if that is not known."""
    x = [s[node.inputs[0]] for s in shapes]
    values = [v.attrs[name] for v in versions]
    if node.op == "resize" and name == "size":
        return _explain_size(node, x, values, shapes, index, graph)
    if node.op == "reshape" and name == "shape":
        return _explain_shape(node, values)
    if node.op == "max_pool2d" and all(
        v.attrs["kernel"] == v.attrs["stride"] == [*image[2:]] for v, image in zip(versions, x, strict=True)
    ):
        node.op, node.attrs = "reduce", {"kind": "max", "axes": [2, 3], "keepdims": True}
        return True
    return False


def _explain_size(
    node: Node,
    x: Sequence[Shape],
    values: Sequence[list[int]],
    shapes: Sequence[dict[str, Shape]],
    index: int,
    graph: Graph,
) -> bool:
    scales = [
        tuple(v / int(n or 1) for v, n in zip(value, image[2:], strict=True))
        for value, image in zip(values, x, strict=True)
    ]
    if len(set(scales)) == 1:
        node.attrs = {key: v for key, v in node.attrs.items() if key != "size"} | {"scale": list(scales[0])}
        return True
    made = [*(info.name for info in graph.inputs), *(n.output for n in graph.nodes[:index])]
    for tensor in made:
        if all(
            len(s[tensor]) == 4 and [*s[tensor][2:]] == value for s, value in zip(shapes, values, strict=True)
        ):
            node.attrs = {key: v for key, v in node.attrs.items() if key != "size"}
            node.inputs = [node.inputs[0], tensor]
            return True
    return False


def _explain_shape(node: Node, values: Sequence[list[int]]) -> bool:
    """One open size may be left to be inferred."""
    if len({len(value) for value in values}) != 1:
        return False
    differing = [i for i in range(len(values[0])) if len({value[i] for value in values}) > 1]
    if len(differing) != 1:
        return False
    node.attrs = {"shape": [-1 if i == differing[0] else size for i, size in enumerate(values[0])]}
    return True
