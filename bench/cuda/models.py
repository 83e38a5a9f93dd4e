"""Whole networks: this engine against PyTorch, eager and as a CUDA graph, with and without TF32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.cuda.timing import Timer, as_graph, on_stream, side_by_side, tf32
from bench.cuda.torch_network import network
from bench.measure.agreement import TOLERANCE
from bench.subjects.inputs import example
from converters.verify import relative_error
from sparsenet import Graph
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray
from sparsenet.targets.cuda.runtime.backend import CudaBackend
from sparsenet.text.table import render
from sparsenet.timing import DEVICE, Samples, interleaved, paired_ratio, stopwatch


@dataclass(frozen=True)
class ModelTimes:
    """One network at one sparsity and batch; medians, from device memory to device memory.

    Attributes:
        milliseconds: by engine; of PyTorch's, the faster of its two layouts.
        speedup: of our sparse kernels over each engine, the median of paired ratios.
        first_seconds: until our first answer: planning, compiling, copying weights.
        round_trip_ms: of our engine, from NumPy array to NumPy array.
    """

    model: str
    sparsity: float
    batch: int
    milliseconds: dict[str, float]
    speedup: dict[str, float]
    first_seconds: float
    round_trip_ms: float


def model_times(graph: Graph, name: str, sparsity: float, batch: int, rounds: int) -> ModelTimes:
    """Outputs are compared first.

    Raises:
        SparsenetError: PyTorch and this engine disagree.
    """
    x = example(graph.inputs, batch)
    passed = stopwatch()
    sparse = CudaBackend(graph, True, 1)
    got = sparse.run([x])
    first_seconds = passed()
    dense = CudaBackend(graph, False, 1)
    dense.run([x])
    timers: dict[str, Timer] = {
        "ours": sparse.session([x]).timer(),
        "ours, dense": dense.session([x]).timer(),
    }
    tf32(False)
    for layout, last in (("NCHW", False), ("NHWC", True)):
        run = network(graph, x, last)
        for key, want in zip(graph.outputs, run(), strict=True):
            error = relative_error(got[key], want.cpu().numpy())
            if not error <= TOLERANCE:
                raise SparsenetError(f"{name}: PyTorch ({layout}) differs by {error:.2g} in '{key}'")
        for precision, allowed in (("fp32", False), ("TF32", True)):
            tf32(allowed)
            timers[f"eager {precision} {layout}"] = _with_tf32(allowed, on_stream(run))
            timers[f"graph {precision} {layout}"] = as_graph(run)
        tf32(False)
    samples = side_by_side(timers, rounds)
    best: dict[str, Samples] = {}
    for engine, seconds in samples.items():
        short = engine.removesuffix(" NCHW").removesuffix(" NHWC")
        if short not in best or np.median(seconds) < np.median(best[short]):
            best[short] = seconds
    return ModelTimes(
        name, sparsity, batch,
        {engine: float(np.median(seconds)) * 1e3 for engine, seconds in best.items()},
        {key: paired_ratio(seconds, best["ours"]).median for key, seconds in best.items() if key != "ours"},
        first_seconds,
        _round_trip(sparse, x, rounds),
    )  # fmt: skip


def _with_tf32(allowed: bool, timer: Timer) -> Timer:
    def seconds() -> float:
        tf32(allowed)
        return timer()

    return seconds


def _round_trip(backend: CudaBackend, x: FloatArray, rounds: int) -> float:
    taken = interleaved({"round trip": lambda: backend.run([x])}, rounds, DEVICE, settle=0.0)
    return float(np.median(taken.seconds("round trip")[0])) * 1e3


def table(times: Sequence[ModelTimes]) -> str:
    """Rows for people."""
    engines = list(times[0].milliseconds) if times else []
    head = ("model", "zeros", "batch", *(f"{name} [ms]" for name in engines), "round trip [ms]", "first [s]")
    rows = [
        (
            t.model, f"{t.sparsity:.0%}", t.batch, *(f"{t.milliseconds[name]:.3f}" for name in engines),
            f"{t.round_trip_ms:.3f}", f"{t.first_seconds:.1f}",
        )
        for t in times
    ]  # fmt: skip
    return render(head, rows)
