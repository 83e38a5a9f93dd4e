"""Two affine maps in a row are one."""

from __future__ import annotations

from converters.passes.rewiring import Rewiring
from sparsenet.graph import Graph
from sparsenet.graph.ops import split_inputs


def merge_affine(graph: Graph) -> Graph:
    """Merge an ``affine`` into the ``affine`` that alone reads it.

    Exact: (x·s₁ + t₁)·s₂ + t₂ = x·(s₁·s₂) + (t₁·s₂ + t₂), if nothing (no epilogue) is between them.
    """
    wiring = Rewiring(graph)
    for second in wiring.nodes("affine"):
        first = wiring.producer(second.inputs[0])
        if first is None or first.op != "affine" or first.epilogue:
            continue
        if wiring.only_reader(first.output) is not second:
            continue
        before = wiring.constants_of(first.inputs[1:3])
        after = wiring.constants_of(split_inputs(second)[0][1:])
        if before is None or after is None:
            continue
        wiring.merge(first, second, [], [])
        wiring.set_constant(first, 1, before[0] * after[0], f"{first.name}.scale")
        wiring.set_constant(first, 2, before[1] * after[0] + after[1], f"{first.name}.shift")
    return wiring.done()
