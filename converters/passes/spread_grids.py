"""Grids pass on to tensors of the same numbers, so that nothing between two quantized tensors is left in floats."""

from __future__ import annotations

from sparsenet.graph import Graph, Quantization
from sparsenet.graph.integer import only_chooses
from sparsenet.graph.ops.table import value_inputs


def spread_grids(graph: Graph) -> Graph:
    """Give the results of ops that only take numbers from one place to another the grid of their inputs, or back.

    Exact: a tensor whose numbers lie on a grid already is not changed by it. Backwards only where nobody else reads the
    tensor, so that what is rounded earlier is rounded for nobody else.
    """
    if not graph.quantization:
        return graph
    graph = graph.copy()
    grids, uses = graph.quantization, graph.use_counts()
    moving = [node for node in graph.nodes if only_chooses(node)]
    for node in moving:
        grid = _common([grids.get(name) for name in value_inputs(node) if name])
        if node.output not in grids and grid is not None:
            grids[node.output] = grid
    for node in reversed(moving):
        sources = [name for name in value_inputs(node) if name]
        grid = grids.get(node.output)
        if grid is not None and all(
            uses[name] == 1 and name not in grids and name not in graph.constants for name in sources
        ):
            grids.update(dict.fromkeys(sources, grid))
    return graph


def _common(grids: list[Quantization | None]) -> Quantization | None:
    first = grids[0]
    if first is None or not all(grid is not None and grid.same_grid(first) for grid in grids):
        return None
    return first
