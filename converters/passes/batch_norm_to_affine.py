"""Batch normalisation with fixed statistics is one multiply and one add per channel."""

from __future__ import annotations

from converters.passes.rewiring import set_constant
from sparsenet.batch_norm import as_affine
from sparsenet.graph import Graph
from sparsenet.ops import attributes


def batch_norm_to_affine(graph: Graph) -> Graph:
    """Replace ``batch_norm`` by ``affine``; exact, see ``as_affine``."""
    graph = graph.copy()
    for node in graph.nodes:
        if node.op != "batch_norm" or any(name not in graph.constants for name in node.inputs[1:]):
            continue
        scale, shift = as_affine([graph.constants[name] for name in node.inputs[1:]], attributes(node)["eps"])
        node.op, node.attrs, node.inputs = "affine", {}, node.inputs[:3]
        set_constant(graph, node, 1, scale, f"{node.name}.scale")
        set_constant(graph, node, 2, shift, f"{node.name}.shift")
    graph.drop_unused_constants()
    return graph
