"""Batch normalization with fixed statistics is one multiply and one add per channel."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph
from sparsenet.graph.batch_norm import as_affine
from sparsenet.graph.ops import attributes


def batch_norm_to_affine(graph: Graph) -> Graph:
    """Replace ``batch_norm`` by ``affine``; exact, see ``as_affine``."""
    wiring = Rewiring(graph)
    for node in wiring.nodes("batch_norm"):
        if any(name not in wiring.constants for name in node.inputs[1:]):
            continue
        scale, shift = as_affine(
            [wiring.constants[name] for name in node.inputs[1:]], attributes(node)["eps"]
        )
        node.op, node.attrs = "affine", {}
        wiring.read(node, node.inputs[:3])
        wiring.set_constant(node, 1, scale, f"{node.name}.scale")
        wiring.set_constant(node, 2, shift, f"{node.name}.shift")
    return wiring.done()
