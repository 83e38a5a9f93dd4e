"""Grids that nobody computes with are forgotten, and what they kept apart is fused."""

from __future__ import annotations

from converters.passes.fuse_activation import fuse_activation
from converters.passes.fuse_add import fuse_add
from converters.passes.fuse_affine import fuse_affine
from sparsenet.graph import Graph
from sparsenet.graph.integer import integer_nodes
from sparsenet.graph.ops import split_inputs, value_inputs
from sparsenet.graph.types import U8


def forget_grids(graph: Graph) -> Graph:
    """Drop the grids of tensors that no node in integers reads or makes, and fuse again; those of weights stay.

    A tensor between float32 nodes is not rounded, whether it has a grid or not (see ``converters.quantized``).
    """
    if not graph.quantization:
        return graph
    integers = integer_nodes(graph, graph.shapes())
    used = {
        name
        for node in graph.nodes
        if node.name in integers
        for name in (*value_inputs(node), *split_inputs(node)[1], node.output)
    }
    if all(name in used or grid.element is not U8 for name, grid in graph.quantization.items()):
        return graph
    graph = graph.copy()
    graph.quantization = {
        name: grid for name, grid in graph.quantization.items() if name in used or grid.element is not U8
    }
    return fuse_add(fuse_affine(fuse_activation(graph)))
