"""What each layer of a network would have to do at a sparsity, before there are pruned weights.

The planner is asked for the network with the smallest of its present weights gone: which weights those are hardly
matters to kernels, formats and schedule.
"""

from __future__ import annotations

from bench.subjects.sparsity import sparsify, thin_out
from sparsenet import Graph
from sparsenet.latency.work import LayerWork, planned_work
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan


def layer_work(graph: Graph, sparsity: float | None, block: str = "1x1") -> list[LayerWork]:
    """All layers that take time; zeros already there count where they are more than ``sparsity`` would leave.

    Args:
        sparsity: imposed as ``with_zeros`` would, or None for the network as it is.
        block: of these zeros.
    """
    pruned = graph if sparsity is None else with_zeros(graph, sparsity, block)
    return planned_work(pruned, make_plan(pruned, Options()))


def with_zeros(graph: Graph, sparsity: float, block: str = "1x1") -> Graph:
    """A network of float32 as ``sparsify`` makes it; one that is quantized stays so."""
    return (thin_out if graph.quantization else sparsify)(graph, sparsity, block)
