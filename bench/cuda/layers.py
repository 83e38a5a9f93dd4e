"""1x1 layers of MobileNetV1 and ResNet-50: this engine, sparse and dense, cuBLAS with and without TF32, cuSPARSE."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from bench.cuda.timing import REPEATS, Timer, as_graph, repeated, side_by_side, tf32
from bench.measure.agreement import TOLERANCE
from bench.subjects.layers import LAYERS, LayerShape
from converters.verify import relative_error
from sparsenet import Graph, Node, TensorInfo
from sparsenet.errors import SparsenetError
from sparsenet.graph import FloatArray
from sparsenet.targets.cuda.runtime.backend import CudaBackend
from sparsenet.text.table import render
from sparsenet.timing import paired_ratio


@dataclass(frozen=True)
class LayerTimes:
    """One layer at one sparsity and batch; medians.

    Attributes:
        microseconds: by engine.
        speedup: of our sparse kernel over each engine, the median of paired ratios.
        kernel: what ran.
        gflops: of our sparse kernel, on nonzeros.
    """

    layer: str
    sparsity: float
    batch: int
    microseconds: dict[str, float]
    speedup: dict[str, float]
    kernel: str
    gflops: float


def pointwise_layers() -> list[LayerShape]:
    """Those of the table that are 1x1 with stride 1."""
    return [
        shape
        for shape in LAYERS
        if shape.network in ("mobilenetv1", "resnet50")
        and shape.op == "conv2d"
        and (shape.kernel, shape.stride, shape.groups) == (1, 1, 1)
    ]


def layer_times(shape: LayerShape, sparsity: float, batch: int, rounds: int) -> LayerTimes:
    """Outputs are compared first.

    Raises:
        SparsenetError: an engine computes something else.
    """
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((shape.c_out, shape.c_in)).astype(np.float32)
    weight[np.abs(weight) <= np.quantile(np.abs(weight), sparsity)] = 0
    x = rng.standard_normal((batch, shape.c_in, shape.size, shape.size)).astype(np.float32)
    on_gpu = torch.from_numpy(weight).cuda()
    pixels = torch.from_numpy(np.ascontiguousarray(x.transpose(1, 0, 2, 3)).reshape(shape.c_in, -1)).cuda()
    tf32(False)
    want = (on_gpu @ pixels).cpu().numpy().reshape(shape.c_out, batch, shape.size, shape.size)

    timers: dict[str, Timer] = {}
    kernels = {}
    for name, sparse in (("ours", True), ("ours, dense", False)):
        timers[name], kernels[name], got = _ours(weight, x, sparse)
        error = relative_error(got.transpose(1, 0, 2, 3), want)
        if not error <= TOLERANCE:
            raise SparsenetError(f"{shape.name}: '{name}' differs by {error:.2g}, so its times mean nothing")
    timers["cuBLAS fp32"] = as_graph(lambda: on_gpu @ pixels, REPEATS)
    tf32(True)
    timers["cuBLAS TF32"] = as_graph(lambda: on_gpu @ pixels, REPEATS)
    tf32(False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sparse CSR is called a beta
        compressed = on_gpu.to_sparse_csr()
    timers["cuSPARSE CSR"] = repeated(lambda: torch.sparse.mm(compressed, pixels))

    samples = side_by_side(timers, rounds)
    microseconds = {name: float(np.median(s)) * 1e6 for name, s in samples.items()}
    speedup = {name: paired_ratio(s, samples["ours"]).median for name, s in samples.items() if name != "ours"}
    flops = 2 * np.count_nonzero(weight) * batch * shape.size**2
    return LayerTimes(
        shape.name, sparsity, batch, microseconds, speedup, kernels["ours"],
        flops / microseconds["ours"] / 1e3,
    )  # fmt: skip


def _ours(weight: FloatArray, x: FloatArray, sparse: bool) -> tuple[Timer, str, FloatArray]:
    """Timer of the layer's kernel alone, its name, and the layer's output (N, C, H, W)."""
    graph = Graph(
        "layer",
        [TensorInfo("x", (None, *x.shape[1:]))],
        ["y"],
        [Node("conv2d", "conv", ["x", "w"], ["y"])],
        {"w": weight[:, :, None, None]},
    )
    backend = CudaBackend(graph, sparse, 1)
    got = backend.run([x])["y"]
    session = backend.session([x])
    return session.layer_timer("conv"), session.plan.decisions[0].kernel, got


def table(times: Sequence[LayerTimes]) -> str:
    """Rows for people."""
    engines = list(times[0].microseconds) if times else []
    head = ("layer", "zeros", "batch", *(f"{name} [us]" for name in engines), "GFLOP/s", "kernel")
    rows = [
        (
            t.layer, f"{t.sparsity:.0%}", t.batch, *(f"{t.microseconds[name]:.1f}" for name in engines),
            f"{t.gflops:.0f}", t.kernel,
        )
        for t in times
    ]  # fmt: skip
    return render(head, rows)
