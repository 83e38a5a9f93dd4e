"""The backends that an engine can run on, by name, and which of them takes what was asked for."""

from __future__ import annotations

from collections.abc import Callable

from sparsenet.backend import Backend
from sparsenet.engine_options import EngineOptions
from sparsenet.errors import DeviceError, MissingCompilerError, SparsenetError, UnsupportedOpError
from sparsenet.graph import Graph
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.limits import enough_memory
from sparsenet.start_up import Timings, add_seconds
from sparsenet.text.one_line import warn


class UnavailableError(Exception):
    """A backend cannot take the graph here.

    Attributes:
        error: what to raise where no other backend may take its place.
        warning: what to say where one does; nothing where that goes without saying.
    """

    def __init__(self, error: SparsenetError, warning: str = "") -> None:
        super().__init__(str(error))
        self.error, self.warning = error, warning


def start(source: KeptGraph, graph: Graph, options: EngineOptions, timings: Timings) -> Backend:
    """The backend that was asked for, or of several the first that can take the graph here.

    Args:
        source: what keeps ``graph``, for plans of other sizes.
        timings: gets the seconds that it took.

    Raises:
        GraphError, MissingCompilerError, DeviceError, UnsupportedOpError, MemoryLimitError: as ``Engine``.
    """
    *others, last = _asked(options)
    for name in others:
        try:
            return BACKENDS[name](source, graph, options, timings)
        except UnavailableError as reason:
            if reason.warning:
                warn(reason.warning, RuntimeWarning, stacklevel=4)  # the caller of Engine or load
    try:
        return BACKENDS[last](source, graph, options, timings)
    except UnavailableError as reason:
        raise reason.error from reason.error.__cause__


def _asked(options: EngineOptions) -> list[str]:
    """Names of the backends to try in order: the next one may take a graph that one cannot."""
    on_cpu: list[str] = ["compiled", "numpy"] if options.backend == "auto" else [options.backend]
    return {"cpu": on_cpu, "auto": ["cuda", *on_cpu], "cuda": ["cuda"]}[options.device]


def _compiled(source: KeptGraph, graph: Graph, options: EngineOptions, timings: Timings) -> Backend:
    try:
        with add_seconds(timings, "imports"):
            from sparsenet.targets.cpu.runtime.backend import CpuBackend
        return CpuBackend.planned(source, graph, options, timings)
    except ImportError as error:
        missing = MissingCompilerError(f"kernels cannot be compiled: {error}; install numba")
        missing.__cause__ = error
        raise UnavailableError(
            missing, f"kernels cannot be compiled ({error}); running on NumPy, some hundred times slower"
        ) from error


def _numpy(_source: KeptGraph, graph: Graph, options: EngineOptions, _timings: Timings) -> Backend:
    from sparsenet.reference.backend import NumpyBackend

    reason = "asked for" if options.backend == "numpy" else "kernels cannot be compiled here"
    with enough_memory("the weights"):
        return NumpyBackend(graph, reason)


def _cuda(_source: KeptGraph, graph: Graph, options: EngineOptions, timings: Timings) -> Backend:
    with add_seconds(timings, "imports"):
        from sparsenet.targets.cuda.runtime.availability import gpu_available, require_gpu
    if options.device == "cuda":
        require_gpu()
    elif not gpu_available():
        raise UnavailableError(DeviceError("no GPU can be used here"))
    with add_seconds(timings, "imports"):
        from sparsenet.targets.cuda.runtime.backend import CudaBackend
    try:
        with add_seconds(timings, "plan"), enough_memory("the plan"):
            return CudaBackend(graph, options.sparse, options.sizes, tune=options.tune)
    except UnsupportedOpError as error:
        raise UnavailableError(error, f"running on the CPU: {error}") from error


#: Backend → the function that starts it; a module is imported when it is first needed.
BACKENDS: dict[str, Callable[[KeptGraph, Graph, EngineOptions, Timings], Backend]] = {
    "cuda": _cuda,
    "compiled": _compiled,
    "numpy": _numpy,
}
