"""Two affine maps in a row are one."""

from __future__ import annotations

from converters.passes.rewiring import constants_of, merge_into, only_reader, set_constant
from sparsenet.graph import Graph
from sparsenet.ops import split_inputs


def merge_affine(graph: Graph) -> Graph:
    """Merge an ``affine`` into the ``affine`` that alone reads it.

    Exact: (x·s₁ + t₁)·s₂ + t₂ = x·(s₁·s₂) + (t₁·s₂ + t₂), if nothing (no epilogue) stands between them.
    """
    graph = graph.copy()
    for second in [n for n in graph.nodes if n.op == "affine"]:
        first = graph.producer(second.inputs[0])
        if first is None or first.op != "affine" or first.epilogue:
            continue
        if only_reader(graph, first.output) is not second:
            continue
        before, after = (
            constants_of(graph, first.inputs[1:3]),
            constants_of(graph, split_inputs(second)[0][1:]),
        )
        if before is None or after is None:
            continue
        merge_into(graph, first, second, [], [])
        set_constant(graph, first, 1, before[0] * after[0], f"{first.name}.scale")
        set_constant(graph, first, 2, before[1] * after[0] + after[1], f"{first.name}.shift")
    graph.drop_unused_constants()
    return graph
