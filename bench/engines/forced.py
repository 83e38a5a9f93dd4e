"""An engine whose convolutions and linear layers run as asked, whether that pays or not."""

from __future__ import annotations

from typing import Literal

from sparsenet import Engine, Graph
from sparsenet.plan.builder import Options
from sparsenet.plan.make import make_plan
from sparsenet.targets.cpu.runtime.backend import CpuBackend
from sparsenet.targets.cpu.runtime.threads import WorkerPool

Kernels = Literal["auto", "sparse", "dense"]


def forced_engine(graph: Graph, kernels: Kernels, threads: int = 1) -> Engine:
    """``graph`` with sparse kernels wherever there are any, with dense ones, or with the planner's choice."""
    engine = Engine(graph, threads, sparse=kernels != "dense")
    if kernels == "sparse":
        plan = make_plan(graph, Options("sparse", threads))
        plan.link()
        engine.close()
        engine._use(CpuBackend(plan, WorkerPool(plan.threads)))
    return engine
