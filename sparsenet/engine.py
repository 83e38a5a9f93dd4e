"""The Engine: loads a model, plans it for this machine, runs it: by one compiled call per image, or by a backend."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt

import sparsenet
from sparsenet.errors import InputError, MissingCompilerError, UnsupportedOpError
from sparsenet.graph import FloatArray, Graph, TensorInfo
from sparsenet.kernels.abi import FIRST_TENSOR
from sparsenet.layer_profile import LayerProfile, layer_profiles
from sparsenet.limits import require_memory
from sparsenet.partial import cut
from sparsenet.plan.plan import Decision, Plan
from sparsenet.prepared import Context, OtherSizes, Prepared
from sparsenet.threads import WorkerPool, available_cpus
from sparsenet.timings import Timings, add_seconds

if TYPE_CHECKING:
    from sparsenet.bundle import Bundle
    from sparsenet.gpu.backend import CudaBackend
    from sparsenet.numpy_backend import NumpyBackend

Backend = Literal["auto", "compiled", "numpy"]
Device = Literal["cpu", "cuda", "auto"]


class Engine:
    """Runs a Graph on this machine's CPU, or on its GPU. Safe to call from several threads at once.

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
        DeviceError: "cuda" was asked for, and there is no GPU that can be used.
        UnsupportedOpError: "cuda" was asked for, and nodes of the graph have no CUDA kernel; all are named.
        MemoryLimitError: weights or working memory would take more than ``limits.memory_limit``.
    """

    threads: int
    sparse: bool
    device: Literal["cpu", "cuda"] = "cpu"
    metadata: dict[str, str]
    timings: Timings
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
        if threads is not None and threads < 1:
            raise InputError(f"threads must be at least 1, got {threads}")
        if sizes < 1:
            raise InputError(f"sizes must be at least 1, got {sizes}")
        if backend not in get_args(Backend):
            raise InputError(f"backend must be one of {', '.join(get_args(Backend))}, got {backend!r}")
        if device not in get_args(Device):
            raise InputError(f"device must be one of {', '.join(get_args(Device))}, got {device!r}")
        self.sparse, self.metadata, self.timings = sparse, dict(graph.metadata), Timings()
        if device != "cpu" and self._start_cuda(graph, tune, sizes, device == "cuda"):
            return
        if backend == "numpy":
            self._start_numpy(graph, "asked for")
            return
        try:
            self._compile(graph, threads or available_cpus(), tune, sizes)
        except ImportError as error:
            if backend == "compiled":
                raise MissingCompilerError(f"kernels cannot be compiled: {error}; install numba") from error
            warnings.warn(
                f"kernels cannot be compiled ({error}); running on NumPy, some hundred times slower",
                RuntimeWarning,
                stacklevel=2,
            )
            self._start_numpy(graph, "kernels cannot be compiled here")

    def _start_numpy(self, graph: Graph, reason: str) -> None:
        from sparsenet.numpy_backend import NumpyBackend

        self._backend = NumpyBackend(graph, reason)
        self.plan, self.threads, self._others = self._backend.plan, 1, None

    def _start_cuda(self, graph: Graph, tune: bool, sizes: int, required: bool) -> bool:
        """Whether the GPU has taken the graph; one that is ``required`` but cannot raises."""
        with add_seconds(self.timings, "imports"):
            from sparsenet.gpu.availability import gpu_available, require_gpu
        if required:
            require_gpu()
        elif not gpu_available():
            return False
        with add_seconds(self.timings, "imports"):
            from sparsenet.gpu.backend import CudaBackend
        try:
            with add_seconds(self.timings, "plan"):
                self._backend = CudaBackend(graph, self.sparse, sizes, tune=tune)
        except UnsupportedOpError as error:
            if required:
                raise
            warnings.warn(f"running on the CPU: {error}", RuntimeWarning, stacklevel=3)
            return False
        self.plan, self.threads, self._others, self.device = self._backend.plan, 1, None, "cuda"
        return True

    def _compile(self, graph: Graph, threads: int, tune: bool, sizes: int) -> None:
        timings = self.timings
        with add_seconds(timings, "imports"):
            from sparsenet.plan.builder import Options
            from sparsenet.plan.make import make_plan
        options = Options("auto" if self.sparse else "dense", threads, tune)
        with add_seconds(timings, "plan"):
            plan = make_plan(graph, options)
        with add_seconds(timings, "compile"):
            plan.link()
            self._start(plan, WorkerPool(len(plan.tapes)))
        if any(info.open for info in graph.inputs):

            def make(other: Graph) -> Plan:
                made = make_plan(other, options)
                made.link()
                return made

            self._others = OtherSizes(graph, make, sizes)

    @classmethod
    def _from_bundle(cls, bundle: Bundle, timings: Timings) -> Engine:
        engine = cls.__new__(cls)
        with add_seconds(timings, "compile"):
            code = bundle.load_code()
            bundle.plan.link(code)
            engine._start(bundle.plan, WorkerPool(len(bundle.plan.tapes), code.__getitem__))
        engine.sparse, engine.metadata, engine.timings = bundle.sparse, bundle.metadata, timings
        return engine

    def _start(self, plan: Plan, pool: WorkerPool) -> None:
        self.plan, self.threads = plan, pool.threads
        self._pool = pool
        self._own = Prepared(plan)
        self._others = None

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
        if len(arrays) != len(self.inputs):
            raise InputError(f"expected {len(self.inputs)} inputs, got {len(arrays)}")
        feeds = {info.name: array for info, array in zip(self.inputs, arrays, strict=True)}
        outputs = tuple(self.run(feeds).values())
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
        arrays, batch = self._check(feeds, check_finite)
        start = time.perf_counter()
        if self._backend is not None:
            results = self._backend.run(arrays)
            self.timings.first = self.timings.first or time.perf_counter() - start
            return results
        prepared = self._prepared(arrays)
        values = batch * sum(math.prod(_image_shape(info)) for info in prepared.plan.outputs)
        require_memory(4 * values, f"the outputs for a batch of {batch}")
        outputs = [np.empty((batch, *_image_shape(info)), np.float32) for info in prepared.plan.outputs]
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
        feeds = {info.name: np.zeros((1, *_image_shape(info)), np.float32) for info in self.inputs}
        start = time.perf_counter()
        self.run(feeds)
        return time.perf_counter() - start

    def profile(self, *arrays: FloatArray, runs: int = 20) -> list[LayerProfile]:
        """Time per layer for one image (the first of the batch), on the first thread, waiting for the others included.

        On a GPU: for the whole batch, each launch timed by itself.

        Raises:
            InputError: as in ``__call__``.
        """
        if self._backend is not None:
            feeds = {info.name: array for info, array in zip(self.inputs, arrays, strict=False)}
            return self._backend.profile(self._check(feeds, False)[0], runs)
        cycles, seconds = self.step_cycles(*arrays, runs=runs)
        return layer_profiles(self._prepared(list(arrays)).plan, cycles, seconds)

    def step_cycles(
        self, *arrays: FloatArray, runs: int = 20
    ) -> tuple[list[npt.NDArray[np.int64]], list[float]]:
        """Cycles of everything in ``Plan.timeline``, and seconds, of each of ``runs`` inferences of one image.

        Raises:
            InputError: as in ``__call__``.
        """
        feeds = {info.name: array[:1] for info, array in zip(self.inputs, arrays, strict=False)}
        checked, _ = self._check(feeds, False)
        prepared = self._prepared(checked)
        outputs = [np.empty((1, *_image_shape(info)), np.float32) for info in prepared.plan.outputs]
        context = prepared.take()
        cycles, seconds = [], []
        try:
            self._point(context, checked, outputs, 0)
            for _ in range(runs + 1):
                start = time.perf_counter()
                cycles.append(prepared.run_timed(self._pool, context))
                seconds.append(time.perf_counter() - start)
        finally:
            prepared.give_back(context)
        return cycles[1:], seconds[1:]

    def explain(self) -> list[Decision]:
        """Per layer: the weight format and kernel chosen, and why."""
        return list(self.plan.decisions)

    def close(self) -> None:
        """End the worker threads, or give the GPU's memory back. Optional: they also end with the process."""
        (self._backend or self._pool).close()

    # ---

    def _check(self, feeds: Mapping[str, FloatArray], check_finite: bool) -> tuple[list[FloatArray], int]:
        names = [info.name for info in self.inputs]
        for name in feeds:
            if name not in names:
                raise InputError(f"unknown input '{name}'; the model's inputs are: {', '.join(names)}")
        arrays: list[FloatArray] = []
        for info in self.inputs:
            if info.name not in feeds:
                raise InputError(
                    f"input '{info.name}' is missing; the model's inputs are: {', '.join(names)}"
                )
            array: Any = feeds[info.name]
            adopted = self._backend.adopt(array) if self._backend is not None else None
            if adopted is not None:
                array = adopted
            elif not isinstance(array, np.ndarray):
                raise InputError(f"input '{info.name}' must be a NumPy array, got {type(array).__name__}")
            if array.dtype != np.float32:
                raise InputError(f"input '{info.name}' must be float32, got {array.dtype}")
            expected = _image_shape(info)
            axes = range(1, len(expected) + 1)
            if array.ndim != len(expected) + 1 or any(
                array.shape[i] < 1 if i in info.open else array.shape[i] != expected[i - 1] for i in axes
            ):
                sizes = ("any" if i in info.open else str(expected[i - 1]) for i in axes)
                wanted = ", ".join(["N", *sizes])
                raise InputError(f"input '{info.name}' must have shape ({wanted}), got {array.shape}")
            if array.shape[0] != (arrays[0].shape[0] if arrays else array.shape[0]):
                raise InputError(
                    f"input '{info.name}' has batch {array.shape[0]}, the first input {arrays[0].shape[0]}"
                )
            if check_finite and not np.isfinite(array if adopted is None else array.copy_to_host()).all():
                raise InputError(f"input '{info.name}' holds NaN or infinity")
            if adopted is not None and not array.is_c_contiguous():
                raise InputError(f"input '{info.name}' must be contiguous, rows last, where it is on the GPU")
            arrays.append(np.ascontiguousarray(array) if adopted is None else array)
        return arrays, arrays[0].shape[0]

    def _prepared(self, arrays: list[FloatArray]) -> Prepared:
        """The plan for arrays of these sizes."""
        shapes = tuple((info.name, (None, *a.shape[1:])) for info, a in zip(self.inputs, arrays, strict=True))
        if self._others is None or all(
            info.shape == s for info, (_, s) in zip(self.inputs, shapes, strict=True)
        ):
            return self._own
        return self._others.get(shapes)

    def _point(
        self, context: Context, arrays: list[FloatArray], outputs: list[FloatArray], image: int
    ) -> None:
        for number, array in enumerate(arrays + outputs):
            context.bases[FIRST_TENSOR + number] = array.ctypes.data + image * array.strides[0]

    def _run_batch(
        self,
        prepared: Prepared,
        context: Context,
        arrays: list[FloatArray],
        outputs: list[FloatArray],
        batch: int,
    ) -> None:
        for image in range(batch):
            self._point(context, arrays, outputs, image)
            prepared.run(self._pool, context)


def _image_shape(info: TensorInfo) -> tuple[int, ...]:
    return tuple(int(d or 0) for d in info.shape[1:])


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
        ModelFileError: the file is not a valid model.
        MemoryLimitError: it would take more memory than ``limits.memory_limit``.
        BundleError: the folder is not a valid bundle, or not one for this CPU or what was asked for.
    """
    timings = Timings(imports=sparsenet.import_seconds())
    if Path(path).is_dir():
        if backend == "numpy":
            raise InputError("a bundle holds compiled code alone; backend='numpy' needs the model file")
        if device == "cuda":
            raise InputError("a bundle holds code for the CPU alone; device='cuda' needs the model file")
        with add_seconds(timings, "imports"):
            from sparsenet import bundle
        with add_seconds(timings, "load"):
            loaded = bundle.load(path, threads, sparse=sparse)
        return Engine._from_bundle(loaded, timings)
    with add_seconds(timings, "imports"):
        from sparsenet.model_file import load_graph
    with add_seconds(timings, "load"):
        graph = load_graph(path)
    engine = Engine(graph, threads, sparse=sparse, tune=tune, backend=backend, device=device)
    engine.timings.imports += timings.imports
    engine.timings.load = timings.load
    return engine
