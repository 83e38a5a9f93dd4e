"""The engine's CPU side: a plan, one compiled call per image, and the threads that share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sparsenet.backend import Backend
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.partial import cut
from sparsenet.limits import enough_memory
from sparsenet.plan.plan import Plan
from sparsenet.start_up import Timings, add_seconds
from sparsenet.targets.cpu.runtime.prepared import OtherSizes, Prepared
from sparsenet.targets.cpu.runtime.threads import WorkerPool, available_cpus

if TYPE_CHECKING:
    from sparsenet.engine_options import EngineOptions
    from sparsenet.graph.kept_graph import KeptGraph
    from sparsenet.timing.layer_profile import TimedSteps


class CpuBackend(Backend):
    """Runs a plan with the threads of a pool. Safe to call from several threads: each run has memory of its own.

    Attributes:
        own: the plan, which is linked, ready to run.
        others: plans for other sizes, where inputs have open dimensions.
    """

    def __init__(self, plan: Plan, pool: WorkerPool, others: OtherSizes | None = None) -> None:
        self.plan, self.threads = plan, pool.threads
        self.pool, self.own, self.others = pool, Prepared(plan), others
        self._names = [info.name for info in plan.outputs]
        self._outputs = plan.outputs[: len(plan.outputs) - plan.counts]
        self._whole = not any(info.partial for info in plan.outputs)

    @classmethod
    def planned(cls, source: KeptGraph, graph: Graph, options: EngineOptions, timings: Timings) -> CpuBackend:
        """A backend with a plan for ``graph`` made now; ``source`` keeps the graph, for plans of other sizes.

        Raises:
            ImportError: Numba cannot be imported.
            GraphError, MemoryLimitError: as ``Engine``.
        """
        with add_seconds(timings, "imports"):
            from sparsenet.plan.builder import Options, Race
            from sparsenet.plan.make import make_plan
        race: Race | None = None
        if options.tune:
            from sparsenet.targets.cpu.runtime import tune  # only here: no other plan waits for what measures

            race = tune.race
        kernels: Literal["auto", "dense"] = "auto" if options.sparse else "dense"
        wanted = Options(kernels, options.threads or available_cpus(), race)

        def make(other: Graph) -> Plan:
            with enough_memory("a plan for other sizes"):
                made = make_plan(other, wanted)
            made.link()
            return made

        with add_seconds(timings, "plan"), enough_memory("the plan"):
            plan = make_plan(graph, wanted)
        with add_seconds(timings, "compile"):
            plan.link()
            is_open = any(info.open for info in graph.inputs)
            others = OtherSizes(source, make, options.sizes) if is_open else None
            return cls(plan, WorkerPool(plan.threads), others)

    def run(self, arrays: list[FloatArray]) -> dict[str, FloatArray]:
        """Outputs by name, (N, ...), for checked inputs in order; outputs of dynamic length cut to valid elements.

        Raises:
            InputError: the network cannot take inputs of this size.
            MemoryLimitError: the outputs would take more than ``limits.memory_limit``.
        """
        prepared = self._prepared(arrays)
        batch = arrays[0].shape[0]
        outputs = prepared.new_outputs(batch)
        context = prepared.take()
        try:
            places = _places(arrays, outputs)
            for image in range(batch):
                context.point(places, image)
                prepared.run(self.pool, context)
        finally:
            prepared.give_back(context)
        named = dict(zip(self._names, outputs, strict=True))
        return named if self._whole else cut(named, self._outputs)

    def time_steps(self, arrays: list[FloatArray], runs: int) -> TimedSteps:
        """Cycles of everything in ``Plan.timeline``, for the first image; a layer's steps may be several."""
        from sparsenet.timing import clock_for  # only here: no start waits for what measures
        from sparsenet.timing.layer_profile import TimedSteps, step_times

        prepared = self._prepared(arrays)
        outputs = prepared.new_outputs(1)
        context = prepared.take()
        try:
            context.point(_places(arrays, outputs), 0)
            times = step_times(lambda: prepared.run_timed(self.pool, context), runs, clock_for(self.threads))
        finally:
            prepared.give_back(context)
        plan = prepared.plan
        order = (layer for layers in plan.layers for layer in layers)
        return TimedSteps(times, [layer for layer, _ in plan.timeline], plan.decisions, order)

    def close(self) -> None:
        """End the worker threads; the next run would start new ones."""
        self.pool.close()

    # ---

    def _prepared(self, arrays: list[FloatArray]) -> Prepared:
        """The plan for arrays of these sizes."""
        if self.others is None:
            return self.own
        infos = self.plan.inputs
        shapes = tuple((info.name, (None, *a.shape[1:])) for info, a in zip(infos, arrays, strict=True))
        if all(info.shape == shape for info, (_, shape) in zip(infos, shapes, strict=True)):
            return self.own
        return self.others.get(shapes)


def _places(arrays: list[FloatArray], outputs: list[FloatArray]) -> list[tuple[int, int]]:
    """Address, and bytes of one image, of each array."""
    return [(array.ctypes.data, array.strides[0]) for array in (*arrays, *outputs)]
