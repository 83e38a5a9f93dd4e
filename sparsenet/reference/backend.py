"""The engine without a compiler: every node by the reference's NumPy, slow but anywhere.

It replaces the compiled backend where Numba cannot be imported, and serves to check what compiled kernels compute.
"""

from __future__ import annotations

import time

import numpy as np

from sparsenet.backend import Backend
from sparsenet.errors import GraphError, InputError
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.counts import count_layers
from sparsenet.graph.partial import cut
from sparsenet.graph.plannable import require_plannable
from sparsenet.plan.plan import Decision, Plan
from sparsenet.reference.oracle import compute, runner
from sparsenet.timing import WALL
from sparsenet.timing.layer_profile import TimedSteps, step_times

KERNEL = "numpy"


class NumpyBackend(Backend):
    """Runs a graph one image at a time, in float64 between the layers.

    Attributes:
        plan: inputs, outputs and decisions; it has no tapes.

    Raises:
        GraphError: the graph is malformed.
        MemoryLimitError: a tensor would take more than ``limits.memory_limit``.
    """

    def __init__(self, graph: Graph, reason: str) -> None:
        facts = graph.verify()
        require_plannable(graph, facts.shapes)
        self._graph = graph.copy()
        self._graph.constants = {name: array.copy() for name, array in graph.constants.items()}
        self._counts = {count.layer: count for count in count_layers(graph)}
        decisions = [self._decision(node.name, node.op, reason) for node in graph.nodes]
        inputs, outputs = list(graph.inputs), facts.output_infos
        weights = np.zeros(0, np.uint8)
        self.plan = Plan([], [], [], [], weights, 0, [], decisions, [], inputs, outputs, {})

    def _decision(self, layer: str, op: str, reason: str) -> Decision:
        count = self._counts.get(layer)
        numbers = (count.macs, count.nnz, count.weights) if count else (0, 0, 0)
        return Decision(layer, op, "dense", KERNEL, reason, *numbers)

    def run(self, arrays: list[FloatArray]) -> dict[str, FloatArray]:
        """Outputs by name for checked inputs in order, all (N, ...)."""
        graph = self._at_sizes(arrays)
        names = [info.name for info in graph.inputs]
        outputs = graph.output_infos()
        infos = [*outputs, *graph.count_infos()]
        images = [
            compute(
                graph,
                {name: array[i : i + 1] for name, array in zip(names, arrays, strict=True)},
                [info.name for info in infos],
            )
            for i in range(arrays[0].shape[0])
        ]
        values = {}
        for info in infos:
            empty = np.empty((0, *(int(d or 0) for d in info.shape[1:])), np.float32)
            values[info.name] = np.concatenate([empty, *(image[info.name] for image in images)])
        return cut(values, outputs)

    def time_steps(self, arrays: list[FloatArray], runs: int) -> TimedSteps:
        """Seconds of each node, for the first image."""
        graph = self._at_sizes(arrays)
        feeds = {info.name: array[:1] for info, array in zip(graph.inputs, arrays, strict=True)}
        values = compute(graph, feeds, keep="all")
        known = {name: array.astype(np.float64) for name, array in {**graph.constants, **values}.items()}

        run_one = runner(graph)

        def run() -> list[float]:
            moments = [time.perf_counter()]
            with np.errstate(all="ignore"):
                for node in graph.nodes:
                    run_one(node, [known[name] if name else None for name in node.inputs])
                    moments.append(time.perf_counter())
            return np.diff(moments).tolist()

        # NumPy may multiply with threads of its own.
        times = step_times(run, runs, WALL, warm=0)
        return TimedSteps(times, [node.name for node in graph.nodes], self.plan.decisions)

    def close(self) -> None:
        """There is nothing to give back."""

    def _at_sizes(self, arrays: list[FloatArray]) -> Graph:
        """The graph for inputs of these sizes, where it leaves some open."""
        shapes = {info.name: (None, *a.shape[1:]) for info, a in zip(self._graph.inputs, arrays, strict=True)}
        same = all(info.shape == shapes[info.name] for info in self._graph.inputs)
        if same:
            return self._graph
        try:
            other = self._graph.at_shapes(shapes)
            other.verify()
        except GraphError as error:
            raise InputError(f"the network cannot take inputs of this size: {error}") from None
        return other
