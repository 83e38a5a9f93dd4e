"""The Engine: loads a model, chooses a backend for it, checks inputs, and hands them to the backend."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import sparsenet
from sparsenet.backend import Backend
from sparsenet.checks import flag, path_of, shown, whole_number
from sparsenet.engine_options import MAX_RUNS, BackendName, Device, EngineOptions
from sparsenet.errors import InputError
from sparsenet.graph import FloatArray, Graph, TensorInfo
from sparsenet.graph.feeds import by_name, checked, image_shape, shape_text
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.io.files import is_folder
from sparsenet.plan.plan import Plan
from sparsenet.start_up import Timings, add_seconds
from sparsenet.targets import backends
from sparsenet.text.one_line import one_line
from sparsenet.text.quantities import threads_text

if TYPE_CHECKING:
    from sparsenet.bundle import Bundle
    from sparsenet.plan.decisions import Decisions
    from sparsenet.timing.layer_profile import Profile, StepTimes, TimedSteps


class Engine:
    """Runs a Graph on this machine's CPU, or on its GPU. Safe to call from several threads at once.

    An engine can be pickled and copied: graph and options travel, and whoever takes the copy makes a plan of its own;
    what was loaded from a bundle travels as the path of its folder.

    Args:
        graph: the network; its constants may be changed afterwards without effect.
        threads: worker threads per inference; ``None`` takes the CPUs this process may use.
        sparse: ``False`` plans dense kernels only: the honest baseline of every speed-up quoted here.
        tune: time the candidates of every layer on this machine (seconds the first time, kept on disk) and take the
            fastest, instead of the one that a model expects to be. On a GPU: for every plan anew.
        backend: "compiled" for kernels made for this CPU; "numpy" for the reference, which needs no compiler and is
            hundreds of times slower; "auto" for the first, or, with a warning, the second if Numba cannot be imported.
        sizes: of a network whose inputs have open dimensions, for how many other sizes than the graph's own plans are
            kept. A plan is made when a size is first met, which takes as long as making the engine. A GPU also has a
            plan for each batch size.
        device: "cpu"; "cuda" for an NVIDIA GPU, where ``threads`` and ``backend`` mean nothing; "auto" for
            the GPU if there is one that can run every node, else the CPU.

    Attributes:
        threads, sparse: as asked for.
        device: "cpu" or "cuda".
        metadata: what the model says beside its graph, such as the names of its classes.
        timings: seconds spent before steady state.

    Raises:
        GraphError: the graph is malformed.
        MissingCompilerError: backend "compiled" was asked for, and Numba cannot be imported.
        InputError: an argument has the wrong type or value.
        DeviceError: "cuda" was asked for, and there is no GPU that can be used.
        UnsupportedOpError: "cuda" was asked for, and nodes of the graph have no CUDA kernel; all are named.
        MemoryLimitError: weights or working memory would take more than ``limits.memory_limit``.
    """

    threads: int
    sparse: bool
    device: Literal["cpu", "cuda"] = "cpu"
    metadata: dict[str, str]
    timings: Timings
    _source: KeptGraph | Path
    _options: EngineOptions
    _backend: Backend

    def __init__(
        self,
        graph: Graph,
        threads: int | None = None,
        *,
        sparse: bool = True,
        tune: bool = False,
        backend: BackendName = "auto",
        sizes: int = 4,
        device: Device = "cpu",
    ) -> None:
        if not isinstance(graph, Graph):
            raise InputError(f"graph must be a Graph, got {shown(graph)}; sparsenet.load reads files")
        options = EngineOptions(threads, sparse, tune, backend, sizes, device)
        self._begin(KeptGraph.of(graph, owned=False), options, graph)

    def _begin(self, source: KeptGraph, options: EngineOptions, graph: Graph) -> None:
        """Set the engine up for ``graph``, which ``source`` keeps."""
        timings = Timings()
        self._use(backends.start(source, graph, options, timings))
        self._source, self._options = source, options
        self.sparse, self.metadata, self.timings = options.sparse, dict(graph.metadata), timings

    def _use(self, backend: Backend) -> None:
        self._backend, self.threads, self.device = backend, backend.threads, backend.device

    @classmethod
    def _from_bundle(cls, bundle: Bundle, folder: Path, timings: Timings) -> Engine:
        with add_seconds(timings, "imports"):
            from sparsenet.targets.cpu.runtime.backend import CpuBackend
            from sparsenet.targets.cpu.runtime.threads import WorkerPool
        engine = cls.__new__(cls)
        engine._source = folder.absolute()
        engine._options = EngineOptions(bundle.plan.threads, bundle.sparse)
        with add_seconds(timings, "compile"):
            code = bundle.load_code()
            bundle.plan.link(code)
            engine._use(CpuBackend(bundle.plan, WorkerPool(bundle.plan.threads, code.__getitem__)))
        engine.sparse, engine.metadata, engine.timings = bundle.sparse, bundle.metadata, timings
        return engine

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as graph and options, or as the path of the bundle: who takes the copy makes a plan of its own."""
        return _restored, (type(self), self._source, self._options, self.metadata)

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        """A copy with a plan of its own; the stored weights are shared, as neither engine changes them."""
        return _restored(type(self), self._source, self._options, self.metadata)

    def __repr__(self) -> str:
        """One line: inputs, outputs, threads and device."""
        ports = (
            ", ".join(f"{i.name} {shape_text(i)}" for i in infos) for infos in (self.inputs, self.outputs)
        )
        where = "cuda" if self.device == "cuda" else threads_text(self.threads)
        return one_line(f"<{type(self).__name__}: {' → '.join(ports)}, {where}>")

    def __str__(self) -> str:
        """A table of inputs and outputs."""
        from sparsenet.text.table import render

        return render(*self._ports())

    def _repr_html_(self) -> str:
        from sparsenet.text.table import render_html

        return render_html(*self._ports(), repr(self)[1:-1])

    @property
    def plan(self) -> Plan:
        """The plan that runs: inputs, outputs and decisions; on the CPU the whole schedule."""
        return self._backend.plan

    @property
    def inputs(self) -> list[TensorInfo]:
        """Name, shape and dtype of each input."""
        return self.plan.inputs

    @property
    def outputs(self) -> list[TensorInfo]:
        """Name, shape and dtype of each output; the largest shape, where that depends on the data (``partial``)."""
        plan = self.plan
        return plan.outputs[: len(plan.outputs) - plan.counts]

    def __call__(self, *arrays: FloatArray) -> FloatArray | tuple[FloatArray, ...]:
        """Outputs for the inputs in order: one array, or a tuple if the network has several outputs.

        Raises:
            InputError: wrong number of inputs, shape or dtype.
        """
        outputs = tuple(self.run(by_name(self.inputs, arrays)).values())
        return outputs[0] if len(outputs) == 1 else outputs

    def run(self, feeds: Mapping[str, FloatArray], *, check_finite: bool = False) -> dict[str, FloatArray]:
        """Outputs by name for inputs by name, float32 (N, ...).

        An output whose length depends on the data is as long as the longest of the batch; NaN fills the others.
        A NaN in the input comes out as NaN, unless ``check_finite`` asks for an error instead. With device "cuda",
        inputs may be arrays on the GPU, of anything that has ``__cuda_array_interface__`` or DLPack (PyTorch, CuPy,
        JAX, …); the outputs then stay there, as arrays that all of these take over without a copy.

        Raises:
            InputError: unknown or missing name, wrong shape or dtype, or, if asked, NaN or infinity.
            MemoryLimitError: the outputs would take more than ``limits.memory_limit``.
        """
        backend = self._backend
        check_finite = flag(check_finite, "check_finite")
        arrays = checked(backend.plan.inputs, feeds, backend.adopt, check_finite=check_finite)
        start = time.perf_counter()
        results = backend.run(arrays)
        if not self.timings.first:
            self.timings.first = time.perf_counter() - start
        return results

    def warmup(self) -> float:
        """Run once on zeros; returns the seconds that first run took."""
        feeds = {info.name: np.zeros((1, *image_shape(info)), np.float32) for info in self.inputs}
        start = time.perf_counter()
        self.run(feeds)
        return time.perf_counter() - start

    def profile(self, *arrays: FloatArray, runs: int = 20) -> Profile:
        """Time per layer for one image (the first of the batch), on the first thread, waiting for the others included.

        On a GPU: for the whole batch, each launch timed by itself. Runs that other work disturbed do not count, and
        up to three times as many are made; ``too_noisy`` of the result tells whether too few were left.

        Raises:
            InputError: as in ``__call__``; a batch of none, or fewer runs than one.
        """
        return self._time_steps(arrays, runs).profile()

    def step_cycles(self, *arrays: FloatArray, runs: int = 20) -> StepTimes:
        """The time of every step in ``runs`` or more inferences, each by itself; see ``StepTimes``.

        On the CPU they are cycles of everything in ``Plan.timeline``, for the first image.

        Raises:
            InputError: as in ``profile``.
        """
        return self._time_steps(arrays, runs).times

    def explain(self) -> Decisions:
        """Per layer: the weight format and kernel chosen, and why; its text is a table."""
        from sparsenet.plan.decisions import Decisions

        return Decisions(self.plan.decisions)

    def close(self) -> None:
        """End the worker threads, or give the GPU's memory back. Optional: they also end with the process."""
        self._backend.close()

    # ---

    def _ports(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Header and rows of a table of inputs and outputs."""
        ports = [("input", info) for info in self.inputs] + [("output", info) for info in self.outputs]
        return ("", "name", "shape", "dtype"), [
            (kind, info.name, shape_text(info), str(info.dtype)) for kind, info in ports
        ]

    def _time_steps(self, arrays: tuple[FloatArray, ...], runs: int) -> TimedSteps:
        runs = whole_number(runs, "runs", MAX_RUNS)
        backend = self._backend
        feeds = by_name(self.inputs, arrays)
        return backend.time_steps(checked(self.inputs, feeds, backend.adopt, least_batch=1), runs)


def _restored(
    kind: type[Engine], source: KeptGraph | Path, options: EngineOptions, metadata: dict[str, str]
) -> Engine:
    """A copy of an engine, of class ``kind``, in this process or another, with a plan made here.

    Args:
        source: its graph, or the folder of its bundle.
        options: as they were asked for: ``threads=None`` means the CPUs of the process that is asked now.
        metadata: as the engine had them, in the end.

    Raises:
        SparsenetError: as ``Engine`` and ``load``: no GPU here where one was asked for, no bundle at that path, ...
    """
    if isinstance(source, KeptGraph):
        engine = kind.__new__(kind)
        engine._begin(source, options, source.graph())
    else:
        engine = load(source, options.threads, sparse=options.sparse)
    engine.metadata = dict(metadata)
    return engine


def load(
    path: str | os.PathLike[str],
    threads: int | None = None,
    *,
    sparse: bool = True,
    tune: bool = False,
    backend: BackendName = "auto",
    device: Device = "cpu",
) -> Engine:
    """Load a model file and plan it for this machine, or load a bundle that ``sparsenet compile`` wrote for it.

    A bundle holds machine code: load only bundles that you made or trust. A model file is safe from anyone.

    Args:
        path: a file written by ``save`` or ``sparsenet convert``, or the folder of a bundle.
        threads: worker threads; ``None`` takes the CPUs this process may use (affinity and cgroup quota), or those a
            bundle was compiled for: it runs on no other number.
        sparse: ``False`` for dense kernels only; a bundle must have been compiled so.
        tune: as for ``Engine``; a bundle was tuned when it was compiled, or not.
        backend: as for ``Engine``; a bundle is always compiled.
        device: as for ``Engine``; a bundle runs on the CPU.

    Raises:
        InputError: an argument has the wrong type or value.
        ModelFileError: the file is not a valid model.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
        BundleError: the folder is not a valid bundle, or not one for this CPU or what was asked for.
    """
    timings = Timings(imports=sparsenet.import_seconds())
    options = EngineOptions(threads, sparse, tune, backend, device=device)
    path = path_of(path)
    if is_folder(path):
        if backend == "numpy":
            raise InputError("a bundle holds compiled code alone; backend='numpy' needs the model file")
        if device == "cuda":
            raise InputError("a bundle holds code for the CPU alone; device='cuda' needs the model file")
        with add_seconds(timings, "imports"):
            from sparsenet import bundle
        with add_seconds(timings, "load"):
            loaded = bundle.load(path, threads, sparse=sparse)
        return Engine._from_bundle(loaded, path, timings)
    with add_seconds(timings, "imports"):
        from sparsenet.io.model_file import load_graph
    with add_seconds(timings, "load"):
        graph = load_graph(path)
    engine = Engine.__new__(Engine)
    engine._begin(KeptGraph.of(graph, owned=True), options, graph)
    engine.timings.imports += timings.imports
    engine.timings.load = timings.load
    return engine
