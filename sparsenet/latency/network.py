"""What a network would take on this machine, node by node."""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.graph import Graph
from sparsenet.latency.table import load
from sparsenet.latency.work import planned_work
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan


def layer_ms() -> Callable[[Graph], dict[str, float]]:
    """A function that estimates the milliseconds of each node of a network, for one sample on one thread.

    Raises:
        SparsenetError: nothing was measured on this machine yet.
    """
    estimator = load()

    def estimate(graph: Graph) -> dict[str, float]:
        works = planned_work(graph, make_plan(graph, Options()))
        return {work.layer: estimator.estimate(work).ms for work in works}

    return estimate
