"""The Engine: loads a model, plans it for this machine, runs it: by one compiled call per image, or by a backend."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

import sparsenet
from sparsenet.checks import flag, path_of, shown, whole_number
from sparsenet.engine_copies import restore
from sparsenet.engine_options import MAX_RUNS, Backend, Device, EngineOptions
from sparsenet.errors import InputError, MissingCompilerError, UnsupportedOpError
from sparsenet.graph import FloatArray, Graph, TensorInfo
from sparsenet.graph.feeds import by_name, checked, image_shape, shape_text
from sparsenet.graph.kept_graph import KeptGraph
from sparsenet.graph.partial import cut
from sparsenet.io.files import is_folder
from sparsenet.limits import enough_memory
from sparsenet.plan.plan import Decision, Plan
from sparsenet.targets.cpu.runtime.prepared import Context, OtherSizes, Prepared
from sparsenet.targets.cpu.runtime.threads import WorkerPool, available_cpus
from sparsenet.text.one_line import one_line, warn
from sparsenet.timing import clock_for
from sparsenet.timing.layer_profile import Profile, StepTimes, layer_profile, step_times
from sparsenet.timing.start_up import Timings, add_seconds

if TYPE_CHECKING:
    from sparsenet.bundle import Bundle
    from sparsenet.reference.backend import NumpyBackend
    from sparsenet.targets.cuda.runtime.backend import CudaBackend


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
    _others: OtherSizes | None
    _backend: NumpyBackend | CudaBackend | None = None

    def __init__(
        self,
        graph: Graph,
        threads: int | None = None,
        *,
        sparse: bool = True,
        tune: bool = False,
        backend: Backend = "auto",
        sizes: int = 4,
        device: Device = "cpu",
    ) -> None:
        if not isinstance(graph, Graph):
            raise InputError(f"graph must be a Graph, got {shown(graph)}; sparsenet.load reads files")
        options = EngineOptions(threads, sparse, tune, backend, sizes, device)
        self._begin(KeptGraph.of(graph, owned=False), options, graph)

    def _begin(self, source: KeptGraph, options: EngineOptions, graph: Graph) -> None:
        """Start on ``graph``, which ``source`` keeps."""
        self._source, self._options = source, options
        self.sparse, self.metadata, self.timings = options.sparse, dict(graph.metadata), Timings()
        if options.device != "cpu" and self._start_cuda(graph, options):
            return
        if options.backend == "numpy":
            self._start_numpy(graph, "asked for")
            return
        try:
            self._compile(graph, source, options)
        except ImportError as error:
            if options.backend == "compiled":
                raise MissingCompilerError(f"kernels cannot be compiled: {error}; install numba") from error
            warn(
                f"kernels cannot be compiled ({error}); running on NumPy, some hundred times slower",
                RuntimeWarning,
                stacklevel=3,
            )
            self._start_numpy(graph, "kernels cannot be compiled here")

    def _start_numpy(self, graph: Graph, reason: str) -> None:
        from sparsenet.reference.backend import NumpyBackend

        self._backend = NumpyBackend(graph, reason)
        self.plan, self.threads, self._others = self._backend.plan, 1, None

    def _start_cuda(self, graph: Graph, options: EngineOptions) -> bool:
        """Whether the GPU has taken the graph; one that was asked for by name but cannot raises."""
        required = options.device == "cuda"
        with add_seconds(self.timings, "imports"):
            from sparsenet.targets.cuda.runtime.availability import gpu_available, require_gpu
        if required:
            require_gpu()
        elif not gpu_available():
            return False
        with add_seconds(self.timings, "imports"):
            from sparsenet.targets.cuda.runtime.backend import CudaBackend
        try:
            with add_seconds(self.timings, "plan"):
                self._backend = CudaBackend(graph, options.sparse, options.sizes, tune=options.tune)
        except UnsupportedOpError as error:
            if required:
                raise
            warn(f"running on the CPU: {error}", RuntimeWarning, stacklevel=4)
            return False
        self.plan, self.threads, self._others, self.device = self._backend.plan, 1, None, "cuda"
        return True

    def _compile(self, graph: Graph, source: KeptGraph, asked: EngineOptions) -> None:
        timings = self.timings
        with add_seconds(timings, "imports"):
            from sparsenet.plan.builder import Options
            from sparsenet.plan.make import make_plan
        options = Options("auto" if asked.sparse else "dense", asked.threads or available_cpus(), asked.tune)
        with add_seconds(timings, "plan"), enough_memory("the plan"):
            plan = make_plan(graph, options)
        with add_seconds(timings, "compile"):
            plan.link()
            self._start(plan, WorkerPool(plan.threads))
        if any(info.open for info in graph.inputs):

            def make(other: Graph) -> Plan:
                with enough_memory("a plan for other sizes"):
                    made = make_plan(other, options)
                made.link()
                return made

            self._others = OtherSizes(source, make, asked.sizes)

    @classmethod
    def _from_bundle(cls, bundle: Bundle, folder: Path, timings: Timings) -> Engine:
        engine = cls.__new__(cls)
        engine._source = folder.absolute()
        engine._options = EngineOptions(bundle.plan.threads, bundle.sparse)
        with add_seconds(timings, "compile"):
            code = bundle.load_code()
            bundle.plan.link(code)
            engine._start(bundle.plan, WorkerPool(bundle.plan.threads, code.__getitem__))
        engine.sparse, engine.metadata, engine.timings = bundle.sparse, bundle.metadata, timings
        return engine

    def _start(self, plan: Plan, pool: WorkerPool) -> None:
        self.plan, self.threads = plan, pool.threads
        self._pool = pool
        self._own = Prepared(plan)
        self._others = None

    def __reduce__(self) -> tuple[Any, ...]:
        """As graph and options, or as the path of the bundle: who takes the copy makes a plan of its own."""
        return restore, (type(self), self._source, self._options, self.metadata)

    def __deepcopy__(self, memo: dict[int, Any]) -> Engine:
        """An engine of its own; the weights put by are shared, as neither changes them."""
        return restore(type(self), self._source, self._options, self.metadata)

    def __repr__(self) -> str:
        """One line: inputs, outputs, threads and device."""
        ports = (
            ", ".join(f"{i.name} {shape_text(i)}" for i in infos) for infos in (self.inputs, self.outputs)
        )
        where = "cuda" if self.device == "cuda" else f"{self.threads} thread{'s' * (self.threads > 1)}"
        return one_line(f"<{type(self).__name__}: {' → '.join(ports)}, {where}>")

    @property
    def inputs(self) -> list[TensorInfo]:
        """Name, shape and dtype of each input."""
        return self.plan.inputs

    @property
    def outputs(self) -> list[TensorInfo]:
        """Name, shape and dtype of each output; the largest shape, where that depends on the data (``partial``)."""
        return self.plan.outputs[: len(self.plan.outputs) - self.plan.counts]

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
        arrays, batch = self._check(feeds, check_finite=flag(check_finite, "check_finite"))
        start = time.perf_counter()
        if self._backend is not None:
            results = self._backend.run(arrays)
            self.timings.first = self.timings.first or time.perf_counter() - start
            return results
        prepared = self._prepared(arrays)
        outputs = prepared.new_outputs(batch)
        context = prepared.take()
        try:
            self._run_batch(prepared, context, arrays, outputs, batch)
        finally:
            prepared.give_back(context)
        if not self.timings.first:
            self.timings.first = time.perf_counter() - start
        named = {info.name: array for info, array in zip(self.plan.outputs, outputs, strict=True)}
        return cut(named, self.outputs)

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
        if self._backend is not None:
            runs = whole_number(runs, "runs", MAX_RUNS)
            return self._backend.profile(self._check(by_name(self.inputs, arrays), least_batch=1)[0], runs)
        times = self.step_cycles(*arrays, runs=runs)
        plan = self._prepared(list(arrays)).plan
        order = (layer for layers in plan.layers for layer in layers)
        return layer_profile(times, [layer for layer, _ in plan.timeline], plan.decisions, order)

    def step_cycles(self, *arrays: FloatArray, runs: int = 20) -> StepTimes:
        """Cycles of everything in ``Plan.timeline`` in ``runs`` or more inferences of one image; see ``step_times``.

        Raises:
            InputError: as in ``profile``.
        """
        runs = whole_number(runs, "runs", MAX_RUNS)
        inputs, _ = self._check(by_name(self.inputs, arrays), least_batch=1)
        prepared = self._prepared(inputs)
        outputs = prepared.new_outputs(1)
        context = prepared.take()
        try:
            context.point(_places(inputs, outputs), 0)
            return step_times(lambda: prepared.run_timed(self._pool, context), runs, clock_for(self.threads))
        finally:
            prepared.give_back(context)

    def explain(self) -> list[Decision]:
        """Per layer: the weight format and kernel chosen, and why."""
        return list(self.plan.decisions)

    def close(self) -> None:
        """End the worker threads, or give the GPU's memory back. Optional: they also end with the process."""
        (self._backend or self._pool).close()

    # ---

    def _check(self, feeds: Mapping[str, FloatArray], **asked: Any) -> tuple[list[FloatArray], int]:
        return checked(
            self.inputs, feeds, self._backend.adopt if self._backend is not None else None, **asked
        )

    def _prepared(self, arrays: list[FloatArray]) -> Prepared:
        """The plan for arrays of these sizes."""
        if self._others is None:
            return self._own
        shapes = tuple((info.name, (None, *a.shape[1:])) for info, a in zip(self.inputs, arrays, strict=True))
        if all(info.shape == s for info, (_, s) in zip(self.inputs, shapes, strict=True)):
            return self._own
        return self._others.get(shapes)

    def _run_batch(
        self,
        prepared: Prepared,
        context: Context,
        arrays: list[FloatArray],
        outputs: list[FloatArray],
        batch: int,
    ) -> None:
        places = _places(arrays, outputs)
        for image in range(batch):
            context.point(places, image)
            prepared.run(self._pool, context)


def _places(arrays: list[FloatArray], outputs: list[FloatArray]) -> list[tuple[int, int]]:
    return [(array.ctypes.data, array.strides[0]) for array in (*arrays, *outputs)]


def load(
    path: str | os.PathLike[str],
    threads: int | None = None,
    *,
    sparse: bool = True,
    tune: bool = False,
    backend: Backend = "auto",
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
