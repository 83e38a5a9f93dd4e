"""The engine's GPU side: plans for each batch size it meets, sessions on the device, one at a time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from sparsenet.backend import Backend
from sparsenet.errors import DeviceError, GraphError, InputError
from sparsenet.graph import Graph
from sparsenet.graph.types import F32
from sparsenet.locks import Lock
from sparsenet.plan.plan import Plan
from sparsenet.targets.cuda.builder import Options
from sparsenet.targets.cuda.choice import trials
from sparsenet.targets.cuda.make import make_plan
from sparsenet.targets.cuda.plan import CudaPlan
from sparsenet.targets.cuda.runtime.arrays import as_device_array, on_device
from sparsenet.targets.cuda.runtime.availability import simulated
from sparsenet.targets.cuda.runtime.session import Session
from sparsenet.targets.registry import FAMILIES
from sparsenet.timing import DEVICE
from sparsenet.timing.layer_profile import StepTimes, TimedSteps, step_times

T = TypeVar("T")


class _Turn(Lock):  # type: ignore[misc]  # as of Lock
    """A lock held while something runs on the device: one run at a time."""

    running = False


#: The simulator launches one kernel at a time in the whole process; a GPU's driver needs no such care, but one engine
#: has one memory.
_simulator = _Turn()

#: Modules of the kernels that layers choose among, and how often each is timed.
CONVOLUTIONS, TUNING_RUNS = ("cuda.conv", "cuda.depthwise", "cuda.separable"), 5

#: Batch size and the other sizes of all inputs.
Key = tuple[tuple[int, ...], ...]


class CudaBackend(Backend):
    """Runs a graph on a GPU. Safe to call from several threads: one inference runs at a time.

    Args:
        sparse: whether sparse kernels may be chosen.
        tune: choose each convolution's kernel by timing its candidates here, some seconds for each plan.
        most: batch sizes, and sizes of open dimensions, whose plans are kept; each has weights of its own on the
            device, since they hold offsets into its maps.

    Attributes:
        plan: inputs, outputs, decisions for one image; it has no tapes.

    Raises:
        UnsupportedOpError: nodes without a CUDA kernel, all named.
        GraphError: the graph is malformed.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
    """

    device = "cuda"

    def __init__(self, graph: Graph, sparse: bool, most: int, *, tune: bool = False) -> None:
        self._graph = graph.copy()
        self._graph.constants = {name: array.copy() for name, array in graph.constants.items()}
        self._sparse, self._most, self._tune = sparse, most, tune
        self._sessions: OrderedDict[Key, Session] = OrderedDict()
        self._lock = _simulator if simulated() else _Turn()
        with self._lock:
            self._first = self._make(graph, 1)
        self.plan = _shown(self._first, graph)

    def adopt(self, array: object) -> Any:
        """A view of an array on the device; None for any other."""
        return as_device_array(array) if on_device(array) else None

    def run(self, arrays: list[Any]) -> dict[str, Any]:
        """Outputs by name for checked inputs in order: on the device if any input is there, else NumPy arrays."""
        if arrays[0].shape[0] == 0:
            return {
                info.name: np.zeros((0, *(int(d or 0) for d in info.shape[1:])), np.float32)
                for info in self.plan.outputs
            }
        if all(isinstance(array, np.ndarray) for array in arrays):
            outputs: list[Any] = self._use(arrays, lambda session: session.run(arrays))
        else:
            outputs = self._use(arrays, lambda session: session.run_on_device(arrays))
        return dict(zip((port.name for port in self._first.outputs), outputs, strict=True))

    def time_steps(self, arrays: list[Any], runs: int) -> TimedSteps:
        """Seconds of each launch, for this batch; every one is timed by itself, by the GPU's clock."""

        def timed(session: Session) -> tuple[CudaPlan, StepTimes]:
            timers = session.launch_timers()
            return session.plan, step_times(lambda: [timer() for timer in timers], runs, DEVICE, warm=0)

        made, times = self._use(arrays, timed)
        steps = times.steps
        times = StepTimes(steps, steps.sum(axis=1), times.clock, times.counted, times.dropped)
        return TimedSteps(times, [launch.layer for launch in made.launches], made.decisions)

    def session(self, arrays: list[Any]) -> Session:
        """The session that runs inputs of these sizes on the device, for measurements by one thread at a time."""
        with self._lock:
            return self._session(arrays)

    def close(self) -> None:
        """Release everything on the device."""
        with self._lock:
            self._sessions.clear()

    # ---

    def _use(self, arrays: list[Any], work: Callable[[Session], T]) -> T:
        """``work`` with the session for these arrays; one that it leaves by an exception is not used again.

        Raises:
            DeviceError: called from a signal handler that has interrupted another such call, which has its data on the
                device.
        """
        with self._lock:
            if self._lock.running:
                raise DeviceError(
                    "the GPU is in use by the very run that this signal handler has interrupted; "
                    "run the engine outside of the handler"
                )
            try:
                self._lock.running = True
                return work(self._session(arrays))
            except BaseException:
                self._sessions.pop(_key(arrays), None)
                raise
            finally:
                self._lock.running = False

    def _make(self, graph: Graph, batch: int) -> CudaPlan:
        options = Options(batch, self._sparse, _processors())
        if self._tune:
            options = replace(options, measured=_measure(graph, options))
        return make_plan(graph, options)

    def _session(self, arrays: list[Any]) -> Session:
        key = _key(arrays)
        found = self._sessions.get(key)
        if found is None:
            found = self._sessions[key] = Session(self._plan_for(arrays))
            while len(self._sessions) > self._most:
                self._sessions.popitem(last=False)
        self._sessions.move_to_end(key)
        return found

    def _plan_for(self, arrays: list[Any]) -> CudaPlan:
        batch = arrays[0].shape[0]
        shapes = {info.name: (None, *a.shape[1:]) for info, a in zip(self._graph.inputs, arrays, strict=True)}
        if all(info.shape == shapes[info.name] for info in self._graph.inputs):
            return self._first if batch == 1 else self._make(self._graph, batch)
        try:
            return self._make(self._graph.at_shapes(shapes), batch)
        except GraphError as error:
            raise InputError(f"the network cannot take inputs of this size: {error}") from None


def _key(arrays: list[Any]) -> Key:
    return tuple(tuple(array.shape) for array in arrays)


def _measure(graph: Graph, options: Options) -> dict[str, list[float]]:
    """Seconds of the candidates of every convolution: one plan for each, all layers of it timed one by one."""
    measured: dict[str, list[float]] = {}
    for trial in range(trials(options.sparse)):
        session = Session(make_plan(graph, replace(options, trial=trial)))
        for launch in session.plan.launches:
            if FAMILIES[launch.kernel.family].module in CONVOLUTIONS:
                timer = session.launch_timer([launch])
                measured.setdefault(launch.layer, []).append(min(timer() for _ in range(TUNING_RUNS)))
    return measured


def _processors() -> int:
    if simulated():
        return 1  # few blocks, whose threads go on to further channels: starting a thread costs most there
    from numba import cuda

    return int(cuda.get_current_device().MULTIPROCESSOR_COUNT)


def _shown(plan: CudaPlan, graph: Graph) -> Plan:
    """The parts of a plan that the rest of the engine reads."""
    return Plan(
        [],
        [[launch.kernel for launch in plan.launches]],
        [[launch.layer for launch in plan.launches]],
        [],
        np.zeros(0, np.uint8),
        F32.itemsize * plan.memory_floats,
        [],
        plan.decisions,
        [],
        list(graph.inputs),
        graph.output_infos(),
        {},
    )
