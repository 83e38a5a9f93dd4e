"""pytest-benchmark over real layers, a group per layer and setting: the engine's dense, sparse and chosen kernels.

pytest bench/bench_layers.py -k "resnet50 and 3x3" --sparsities 0.8,0.9 --thread-counts 1,2 --batches 1,16
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bench.engines.forced import Kernels, forced_engine
from bench.measure.agreement import KERNEL_TOLERANCE as TOLERANCE
from bench.measure.extra_info import note, note_start
from bench.subjects.alexnet import FOLDER, SHAPES, load
from bench.subjects.layers import CONVOLUTIONS, LINEAR, LayerShape
from converters.verify import relative_error
from sparsenet import Graph

KERNELS: tuple[Kernels, ...] = ("dense", "sparse", "auto")


def _run(
    benchmark: Any, graph: Graph, x: np.ndarray, kernels: Kernels, sparsity: float, threads: int
) -> None:
    engine = forced_engine(graph, kernels, threads)
    if kernels != "dense":
        reference = forced_engine(graph, "dense", threads)
        error = relative_error(np.asarray(engine(x)), np.asarray(reference(x)))
        reference.close()
        assert error <= TOLERANCE, (
            f"{kernels} kernels are off by {error:.2g} of the dense ones' largest value"
        )
    engine(x)
    kernel = engine.explain()[0].kernel
    note(benchmark, graph, sparsity=sparsity, threads=threads, batch=len(x), kernel=kernel)
    note_start(benchmark, engine)
    benchmark.group = f"{graph.name} at {sparsity:.0%}, {threads} thread(s), batch {len(x)}"
    benchmark(engine, x)
    engine.close()


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("shape", [*CONVOLUTIONS, *LINEAR], ids=lambda shape: shape.name.replace(" ", "-"))
def test_layer(
    benchmark: Any, shape: LayerShape, kernels: Kernels, sparsity: float, threads: int, batch: int
) -> None:
    """Layers of the zoo, pruned at random."""
    _run(benchmark, shape.graph(sparsity), shape.example(batch), kernels, sparsity, threads)


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no pruned AlexNet: {FOLDER} does not exist")
@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("name", SHAPES)
def test_pruned_alexnet(benchmark: Any, name: str, kernels: Kernels, threads: int, batch: int) -> None:
    """Layers that training pruned."""
    layer = load(name)
    graph = layer.graph()
    graph.name = f"alexnet {name}"
    _run(benchmark, graph, layer.shape.example(batch), kernels, layer.sparsity, threads)
